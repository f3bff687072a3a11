"""The commands together, and how each ends."""

import pytest

from cli.conftest import Run
from nexus.cli.app import app


def test_version_and_help_end_with_0(run: Run) -> None:
    assert run("--version").output.startswith("nexus 0.")
    assert "verify" in run("--help").output


def test_no_command_and_an_unknown_one_are_wrong_usage(run: Run) -> None:
    assert run().status == 2
    assert run("serfe").status == 2
    assert run("status").status == 2


def test_every_documented_command_is_there(run: Run) -> None:
    documented = (
        "demo serve check import sql status verify promote mode pause resume snapshot "
        "restore"
    )
    for command in documented.split():
        assert run(command, "--help").status == 0


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (PermissionError(13, "Permission denied", "/x"), "/x: Permission denied"),
        (KeyError("k"), "a bug in test_app.py:"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_whatever_happens_is_one_line_and_never_a_traceback(
    run: Run, raised: BaseException, said: str
) -> None:
    def fail() -> None:
        raise raised

    app.command("fail")(fail)
    try:
        ended = run("fail")
    finally:
        app.registered_commands.pop()

    assert ended.status == 1
    assert ended.error.startswith(f"nexus: {said}")
    assert ended.error.count("\n") == 1
