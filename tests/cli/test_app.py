"""The commands together, and how each ends."""

import errno
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from cli.conftest import Run
from nexus.cli import status
from nexus.cli.app import COMMANDS, GROUPS, application


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


@pytest.mark.parametrize("group", ["", *GROUPS])
def test_no_line_of_the_list_of_commands_is_cut_off(
    run: Run, monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = run(*filter(None, [group]), "--help").output.partition("Commands:")[2]

    assert listed
    assert "..." not in listed


def test_every_documented_command_is_there(run: Run) -> None:
    documented = (
        "demo serve check import sql status verify promote mode pause resume snapshot "
        "restore"
    )
    for command in documented.split():
        assert run(command, "--help").status == 0


def every_command(group: Any, name: str) -> Iterator[tuple[str, set[str]]]:
    """Each command under its whole name, with its options."""
    if not hasattr(group, "commands"):
        yield name, {option for each in group.params for option in each.opts}
        return
    for inner, command in group.commands.items():
        yield from every_command(command, f"{name} {inner}")


def test_every_command_that_asks_a_node_can_be_told_whom_to_trust() -> None:
    commands = dict(every_command(get_command(application()), "nexus"))
    asking = {name for name, options in commands.items() if "--token-file" in options}

    assert {"nexus status", "nexus backup now", "nexus token list"} <= asking
    for name in asking:
        assert {"--ca", "--cert", "--key"} <= commands[name], name


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


def test_whoever_reads_no_further_is_told_of_no_interruption(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody_reads(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with monkeypatch.context() as patch:
        patch.setattr("nexus.cli.check.refuse_directory", nobody_reads)
        patch.setattr("sys.stdout", sys.stdout)
        patch.setattr("sys.stderr", sys.stderr)
        ended = run("check", "any.sqlite")

    assert (ended.status, ended.error) == (1, "")
