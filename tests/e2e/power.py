"""A cut of the power: what the kernel had not written to the disk yet is gone.

`kill -9` takes only what a process holds: what it wrote and never synced is in the
kernel, and the next process reads it. So the nodes' disk is an ext4 of its own in a
file. What stands in that file is what the disk has got; what waits in the kernel for
being written does not stand there. A copy of the file, taken while all nodes stand
still, is the disk after a cut at this moment; what it comes back with, ext4 decides.

The disk's own cache is not emptied: that a sync also has it flushed is not shown.
"""

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster import NodeProcess, wait_until
from e2e.disks import SmallDisk, mounted

DISK_BYTES = 1 << 30
"""Most of it is never written, and takes no space."""

_STATE = re.compile(r"^State:\s+(\w)", re.MULTILINE)


class Outlet:
    """What the nodes' machines are plugged in to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cuts = 0
        self._image = directory / "disk-0"
        with self._image.open("wb") as file:
            file.truncate(DISK_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self._image)], check=True)

    @contextmanager
    def powered(self) -> Iterator[SmallDisk]:
        """The disk as the last cut left it, mounted for nodes."""
        place = self._directory / "machines"
        with mounted(place, "-o", "loop", str(self._image)) as disk:
            yield disk

    def cut(self, nodes: Sequence[NodeProcess], *, forgets_s: float = 0.0) -> None:
        """Nothing of these nodes is left but the disk, as it was `forgets_s` ago."""
        self._cuts += 1
        after = self._directory / f"disk-{self._cuts}"
        alive = [node for node in nodes if node.is_alive]
        for node in alive:
            node.pause()
        wait_until(lambda: all(map(stands_still, alive)), "all nodes stand still")
        command = ["cp", "--sparse=always", str(self._image), str(after)]
        subprocess.run(command, check=True)
        if forgets_s:
            for node in alive:
                node.resume()
            time.sleep(forgets_s)
        for node in alive:
            node.kill()
        self._image.unlink()
        self._image = after


def stands_still(node: NodeProcess) -> bool:
    """Whether no thread of it, or of a process that it started, does anything."""
    assert node.process is not None
    own = str(node.process.pid)
    listed = ["ps", "-o", "pid=", "--ppid", own]
    started = subprocess.run(listed, check=False, capture_output=True, text=True)
    tasks = [
        task
        for pid in (own, *started.stdout.split())
        for task in Path(f"/proc/{pid}/task").glob("*/status")
    ]
    return all(state_of(task) in "TtZ" for task in tasks)


def state_of(task: Path) -> str:
    """The letter that proc(5) has for it; Z too for one that has ended."""
    try:
        found = _STATE.search(task.read_text())
    except (FileNotFoundError, ProcessLookupError):
        return "Z"
    return found[1] if found else "Z"
