"""Have a frozen database file packed by a process of its own (see `copier`)."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec

from nexus.errors import NodeStoppedError, StorageError
from nexus.storage.disk import storage_error
from nexus.storage.snapshots import copier
from nexus.storage.snapshots.copier import Packed
from nexus.storage.snapshots.file import Manifest


class Packer:
    """Starts the processes, and ends them with the node. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def pack(
        self,
        database: Path,
        archive: Path,
        manifest: Manifest,
        *,
        size: int,
        level: int,
    ) -> Packed:
        """Write the archive of the file's first `size` bytes; durable on return.

        Blocks. Raises DiskFullError, StorageError, or NodeStoppedError once closed.
        """
        process = self._start([str(database), str(size), str(archive), str(level)])
        try:
            answer, complaint = process.communicate(msgspec.json.encode(manifest))
        finally:
            with self._lock:
                self._running.discard(process)
        if process.returncode == 0:
            return Packed(*msgspec.json.decode(answer, type=tuple[int, int, int, int]))
        if self._closed:
            raise NodeStoppedError("this node is stopping; the snapshot is not made")
        raise _failure(process.returncode, answer, complaint)

    def close(self) -> None:
        """End what runs; nothing is started any more."""
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()

    def _start(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        # By path, with this process's search path: it finds the same zstandard, and
        # no module of the directory in which the node happens to run.
        command = [sys.executable, "-P", str(Path(copier.__file__)), *arguments]
        search_path = os.pathsep.join(path for path in sys.path if path)
        with self._lock:
            if self._closed:
                raise NodeStoppedError("this node is stopping; it makes no snapshot")
            try:
                process = subprocess.Popen(  # noqa: S603 - our own interpreter
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env={**os.environ, "PYTHONPATH": search_path},
                )
            except OSError as error:
                raise storage_error(error, f"starting {command[0]!r}") from error
            self._running.add(process)
        return process


def _failure(status: int, answer: bytes, complaint: bytes) -> StorageError:
    try:
        number, message = msgspec.json.decode(answer, type=tuple[int, str])
    except msgspec.MsgspecError:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        return StorageError(
            f"the process that packs the snapshot ended with status {status}: "
            f"{last or 'it was killed'}; try again"
        )
    return storage_error(OSError(number, message), "packing the snapshot")
