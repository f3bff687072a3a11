"""How much memory and time processes take, as the system tells."""

import asyncio
import os
import re
from pathlib import Path
from typing import Final, Self

_POLL_S: Final = 0.02
_RESET_PEAK: Final = "5"
"""What proc(5) says to write to `clear_refs` to begin the peak anew."""


def available() -> bool:
    """Whether this system tells."""
    return Path("/proc/self/clear_refs").exists()


def begin_peak() -> None:
    """Forget this process's peak so far."""
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="ascii")


def peak_mib(pid: int) -> float:
    """The most memory that the process ever held; 0.0 if it is gone."""
    return _field(pid, "VmHWM")


def cpu_with_helpers_s() -> float:
    """CPU time of this process, and of its children that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def cpu_s(pid: int) -> float:
    """CPU time of a process so far; 0.0 if it is gone, or the system does not tell."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    user, system = told.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class HelperPeak:
    """The peak of this process's children that are started while it watches.

    Those of another session are none: a node's process is not a helper.
    """

    def __init__(self) -> None:
        self.mib = 0.0
        self._before: set[int] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._before = _own_children()
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await self.look()

    async def look(self) -> None:
        """Look once, and rest a moment."""
        helpers = _own_children() - self._before
        held = sum(peak_mib(pid) for pid in helpers if _in_our_session(pid))
        self.mib = max(self.mib, held)
        await asyncio.sleep(_POLL_S)


def _own_children() -> set[int]:
    """Children are told by the thread that started them."""
    threads = Path("/proc/self/task").iterdir()
    found: set[int] = set()
    for thread in threads:
        try:
            told = (thread / "children").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue
        found |= {int(child) for child in told.split()}
    return found


def _in_our_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == os.getsid(0)
    except ProcessLookupError:
        return False


def _field(pid: int, name: str) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
