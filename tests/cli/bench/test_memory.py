"""A hampered replica is hampered, and free again afterwards."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from nexus.cli.bench import resident
from nexus.cli.bench.memory import KINDS, _hampered


def state(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    return stat.rpartition(")")[2].split()[0]


def wait_until_stopped(pid: int) -> None:
    while state(pid) != "T":
        pass


@pytest.mark.parametrize("kind", KINDS)
async def test_whatever_was_done_to_it_a_replica_goes_on(kind: str) -> None:
    command = [sys.executable, "-c", "input()"]
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE)
    async with _hampered(process.pid, kind):
        if kind == "stopped" and resident.available():
            wait_until_stopped(process.pid)
    await process.communicate(b"\n")

    assert process.returncode == 0
