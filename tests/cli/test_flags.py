"""Every setting as a flag."""

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from nexus.cli.app import application
from nexus.cli.flags import flag_of, with_setting_flags
from nexus.config.loading import SETTINGS


@pytest.fixture
def seen() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def app(seen: list[dict[str, Any]]) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    @with_setting_flags
    def serve(*, other: int = 1, flags: dict[str, Any]) -> None:
        """Serve."""
        given = {key: value for key, value in flags.items() if value is not None}
        seen.append({"other": other, **given})

    return app


def test_flags_arrive_under_their_keys(
    app: typer.Typer, seen: list[dict[str, Any]]
) -> None:
    line = (
        "--role replica --master-addr a:1 --snapshot-max-size 5GiB --data d "
        "--no-auto-failover --insecure --limits-readers 3 --other 2"
    )

    result = CliRunner().invoke(app, line.split())

    assert result.exit_code == 0
    assert seen == [
        {
            "other": 2,
            "replication.role": "replica",
            "replication.master_addr": "a:1",
            "snapshot.max_size": "5GiB",
            "data_dir": "d",
            "replication.auto_failover": False,
            "insecure": True,
            "limits.readers": "3",
        }
    ]


def test_what_was_not_given_is_none(
    app: typer.Typer, seen: list[dict[str, Any]]
) -> None:
    CliRunner().invoke(app, [])

    assert seen == [{"other": 1}]


def test_help_says_what_a_setting_is_for_and_its_default() -> None:
    shown = CliRunner().invoke(application(["serve"]), ["serve", "--help"]).stdout
    words = " ".join(shown.split())

    assert "says that it is there. [default: 5000]" in words
    assert "--snapshot-max-size SIZE" in words
    assert "[default: 10GiB]" in words
    # Entries, not bytes.
    assert "--max-log-size N " in words
    assert "--limits-requests-per-second N " in words
    assert "--heartbeat-ms MS " in words


def test_an_unknown_flag_is_wrong_usage(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["--roll", "master"]).exit_code == 2


def test_the_secret_itself_is_no_flag_but_its_file_is(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["--cluster-secret", "x"]).exit_code == 2
    assert CliRunner().invoke(app, ["--cluster-secret-file", "x"]).exit_code == 0


def test_flags_do_not_collide() -> None:
    flags = [flag_of(setting) for setting in SETTINGS.values()]

    assert len(flags) == len(set(flags))
