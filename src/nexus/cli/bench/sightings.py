"""Have replicas' files watched by processes of their own (see `watcher`)."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from nexus.cli.bench import watcher
from nexus.cli.demo.processes import NodeProcess
from nexus.cli.outcome import NotDoneError

WATCH_TIMEOUT_S: Final = 300.0

Sightings = list[tuple[int, int]]
"""(nanoseconds on the monotonic clock, highest id seen)."""


class Watch:
    """One watcher's process."""

    def __init__(self, replica: NodeProcess, until: int) -> None:
        file = replica.data_dir / "nexus.db"
        self._name = replica.name
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, str(Path(watcher.__file__)), str(file), str(until)],
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self) -> None:
        """Blocks until it watches."""
        assert self._process.stdout is not None, "its output is a pipe"
        self._process.stdout.readline()

    def result(self) -> Sightings:
        """What it saw, once it has seen the last row; blocks. NotDoneError if not."""
        try:
            told, _ = self._process.communicate(timeout=WATCH_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise NotDoneError(
                f"{self._name} did not show the last row within {WATCH_TIMEOUT_S:.0f} s"
            ) from None
        if self._process.returncode:
            raise NotDoneError(f"{self._name}'s database could not be read")
        return [(at, seen) for at, seen in json.loads(told)]

    def end(self) -> None:
        """End it by its id, whatever it does."""
        self._process.kill()
        self._process.communicate()


@asynccontextmanager
async def watching(
    replicas: Sequence[NodeProcess], *, until: int
) -> AsyncIterator[list[Watch]]:
    """Watchers on these replicas' files; all are ended."""
    watches = [Watch(replica, until) for replica in replicas]
    try:
        for watch in watches:
            await asyncio.to_thread(watch.wait_ready)
        yield watches
    finally:
        for watch in watches:
            watch.end()
