"""A process of its own: its answer, its failures, its end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nexus.cli.bench.apart import apart
from nexus.cli.outcome import NotDoneError

WAITER = """
import sys, time
from pathlib import Path
from nexus.cli.bench.apart import apart
from nexus.cli.signals import signals_unwind

def wait(here):
    try:
        Path(here, "begun").touch()
        time.sleep(60)
    finally:
        Path(here, "unwound").touch()

if __name__ == "__main__":
    with signals_unwind():
        apart("waiting", wait, sys.argv[1])
"""


def fail() -> None:
    raise NotDoneError("there was no time")


def vanish() -> None:
    os._exit(7)


def test_a_call_is_answered_by_another_process() -> None:
    assert apart("asking", os.getpid) != os.getpid()
    assert apart("adding", divmod, 17, 5) == (3, 2)


def test_what_was_not_done_says_why() -> None:
    with pytest.raises(NotDoneError, match="there was no time"):
        apart("failing", fail)


def test_a_process_that_vanishes_is_told() -> None:
    with pytest.raises(NotDoneError, match="for vanishing ended with status 7"):
        apart("vanishing", vanish)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_ends_the_one_unwinds_the_other(
    tmp_path: Path, number: signal.Signals
) -> None:
    program = tmp_path / "program.py"
    program.write_text(WAITER, encoding="utf-8")
    command = [sys.executable, str(program), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while not (tmp_path / "begun").exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)

    assert (tmp_path / "unwound").exists()
