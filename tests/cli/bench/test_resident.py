"""Memory as the system tells it."""

import asyncio
import os
import subprocess
import sys

from nexus.cli.bench.resident import (
    HelperPeak,
    available,
    begin_peak,
    cpu_s,
    cpu_with_helpers_s,
    peak_mib,
)


def test_this_process_holds_memory() -> None:
    pid = os.getpid()
    if available():
        begin_peak()
        assert peak_mib(pid) > 1


def test_a_process_that_is_gone_holds_none() -> None:
    assert peak_mib(2**22 + 1) == 0
    assert cpu_s(2**22 + 1) == 0


def test_the_time_of_a_child_counts_when_it_has_ended() -> None:
    before = cpu_with_helpers_s()
    script = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", script], check=True)

    assert cpu_with_helpers_s() - before >= 0.19
    if available():
        assert cpu_s(os.getpid()) > 0


async def test_a_process_started_meanwhile_is_counted() -> None:
    if not available():
        return
    async with HelperPeak() as helpers:
        command = [sys.executable, "-c", "input()"]
        child = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE)
        while helpers.mib <= 1:
            await helpers.look()
        await child.communicate(b"\n")

    assert helpers.mib > 1


async def test_a_process_of_another_session_is_no_helper() -> None:
    if not available():
        return
    async with HelperPeak() as helpers:
        command = [sys.executable, "-c", "input()"]
        child = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.PIPE, start_new_session=True
        )
        while peak_mib(child.pid) <= 1:
            await helpers.look()
        await helpers.look()
        await child.communicate(b"\n")

    assert helpers.mib == 0
