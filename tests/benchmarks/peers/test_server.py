"""A server is waited for, and ended by its own id."""

import os
import signal
import sys
from pathlib import Path

import pytest

from nexus.cli.outcome import NotDoneError
from peers.server import ServerProcess


def started(code: str, place: Path) -> ServerProcess:
    command = [sys.executable, "-c", code]
    return ServerProcess(command, place / "log", owner=None, cwd=place)


def test_a_server_is_waited_for_until_it_answers(tmp_path: Path) -> None:
    server = started(
        "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); "
        "pathlib.Path('up').touch(); time.sleep(60)",
        tmp_path,
    )

    def answers() -> None:
        if not (tmp_path / "up").exists():
            raise NotDoneError("not yet")

    server.wait_until(answers)
    server.stop(signal.SIGTERM)

    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_server_that_ends_at_once_tells_its_last_words(tmp_path: Path) -> None:
    server = started("raise SystemExit('the port is taken')", tmp_path)

    def answers() -> None:
        raise NotDoneError("no answer")

    with pytest.raises(NotDoneError, match=r"no answer\): the port is taken"):
        server.wait_until(answers)
    server.stop(signal.SIGTERM)
