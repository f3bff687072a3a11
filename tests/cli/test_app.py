"""The commands together, and how each ends."""

import subprocess
import sys

import pytest

from cli.conftest import Run
from nexus.cli import status
from nexus.cli.app import COMMANDS, GROUPS


def test_version_and_help_end_with_0(run: Run) -> None:
    assert run("--version").output.startswith("nexus 0.")
    assert "verify" in run("--help").output


def test_no_command_and_an_unknown_one_are_wrong_usage(run: Run) -> None:
    assert run().status == 2
    assert run("serfe").status == 2
    assert run("status").status == 2


LOADED = """
import sys
from nexus.cli import main
main([sys.argv[1], "--help"])
print([name for name in ("uvicorn", "nexus.node.node") if name in sys.modules])
"""


@pytest.mark.parametrize("command", ["status", "sql", "token"])
def test_who_asks_a_node_does_not_load_one(command: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, command],
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout.splitlines()[-1] == "[]"


def test_help_lists_every_command(run: Run) -> None:
    listed = {
        line.split()[0] for line in run("--help").output.splitlines() if line.strip()
    }

    assert listed >= {*COMMANDS, *GROUPS}


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
    run: Run, raised: BaseException, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise raised

    monkeypatch.setattr(status, "status", fail)

    ended = run("status")

    assert ended.status == 1
    assert ended.error.startswith(f"nexus: {said}")
    assert ended.error.count("\n") == 1
