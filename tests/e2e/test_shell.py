"""`nexus sql` at a real terminal, against a real node."""

import os
import pty
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

from e2e.cluster import Cluster

LIMIT_S = 90.0


class Terminal:
    """A process at the other end of a pseudo-terminal, and all that it has shown."""

    def __init__(self, command: list[str], home: Path) -> None:
        self._ours, theirs = pty.openpty()
        environment = {**os.environ, "HOME": str(home), "TERM": "xterm"}
        self.process = Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
        )
        os.close(theirs)
        self.shown = ""

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} is not in {self.shown!r}"
            if select.select([self._ours], [], [], 0.1)[0]:
                self.shown += os.read(self._ours, 65536).decode(errors="replace")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def open_terminal(
    tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[..., Terminal]:
    def opened(*arguments: str) -> Terminal:
        command = [sys.executable, "-m", "nexus", "sql", *arguments]
        terminal = Terminal(command, tmp_path)
        request.addfinalizer(terminal.close)
        return terminal

    return opened


def test_a_person_writes_reads_and_leaves(
    cluster: Cluster, open_terminal: Callable[..., Terminal]
) -> None:
    node = cluster.master()
    terminal = open_terminal(node.url)

    terminal.wait_for("nexus>")
    terminal.type("create table t(a, b);\r")
    terminal.wait_for("done")
    terminal.type("insert into t\r")
    terminal.wait_for("...>")
    terminal.type("values (1, 'seven');\r")
    terminal.wait_for("1 row changed")
    terminal.type("select a, missing from t;\r")
    terminal.wait_for("no such column: missing")
    terminal.wait_for("          ^")
    # Before it prompts the terminal is not its own, and a Ctrl-D is lost.
    terminal.shown = terminal.shown.rpartition("          ^")[2]
    terminal.wait_for("nexus>")
    terminal.type("\x04")

    assert terminal.process.wait(LIMIT_S) == 0
    assert node.rows("select * from t") == [(1, "seven")]
