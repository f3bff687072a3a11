"""What a cluster loses of the last moments when all its disks are gone at once."""

import shutil
import threading
import time
from pathlib import Path
from typing import Final

from typing_extensions import override

from nexus.archive.opening import open_store
from nexus.archive.restoring import Moment, restore
from nexus.cli.bench.bed import INSERT, SCHEMA, TEXT
from nexus.cli.demo.processes import NodeProcess
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import CALL_ERRORS, Remote
from nexus.config import SnapshotSettings

PATIENCE_S: Final = 60.0
"""An empty database is archived in a moment, on a loaded machine in some seconds."""

LOOK_S: Final = 0.05


class Archiving(NodeProcess):
    """A master alone, whose archive is beside its directory."""

    @property
    def archive(self) -> Path:
        """Where its archive is."""
        return self.data_dir.with_suffix(".archive")

    @override
    def command(self) -> list[str]:
        return [*super().command(), "--archive-url", str(self.archive)]


class Client(threading.Thread):
    """Inserts one row after another until its node is gone."""

    def __init__(self, node: NodeProcess) -> None:
        super().__init__()
        self.acknowledged: list[tuple[int, float]] = []
        """The entry of each row, and when its answer was there."""
        self._node = node

    @override
    def run(self) -> None:
        statement = {"sql": INSERT, "params": [1, TEXT]}
        with Remote(self._node.url) as remote:
            while True:
                try:
                    told = remote.post("/sql", {"statements": [statement]})
                except CALL_ERRORS:
                    return
                self.acknowledged.append((told["offset"], time.perf_counter()))


def _wait_until_archived(remote: Remote, offset: int) -> None:
    """Until the archive brings that entry back; NotDoneError if that takes long."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        told = remote.get("/replication/status")["archive"]
        if told and told["offset"] >= offset:
            return
        time.sleep(LOOK_S)
    raise NotDoneError(f"entry {offset} was not archived within {PATIENCE_S:.0f} s")


def lose_everything(root: Path, name: str, load_s: float) -> float:
    """Seconds of acknowledged commits that the archive does not bring back.

    From the first answer that is lost until the machine is; 0 where none is.
    """
    node = Archiving(name, root, master=None)
    try:
        node.start()
        node.wait_until_up()
        with Remote(node.url) as remote:
            made = remote.post("/sql", {"statements": [{"sql": SCHEMA}]})
            _wait_until_archived(remote, made["offset"])
        client = Client(node)
        client.start()
        time.sleep(load_s)
        gone_at = time.perf_counter()
        node.kill()
        client.join()
        shutil.rmtree(node.data_dir)
    finally:
        node.kill()
    restored = restore(
        open_store(str(node.archive)),
        root / f"{name}-restored",
        Moment(),
        max_size=SnapshotSettings().max_size,
    )
    end = restored.position.offset
    lost = (at for offset, at in client.acknowledged if offset > end)
    return max(0.0, gone_at - next(lost, gone_at))
