"""Carry one reign's committed entries and snapshots into a store, in order.

What is where is derived from a listing, so a master goes on where another one stopped.
Everything blocks; one thread at a time calls it.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

import msgspec

from nexus.archive.inventory import Inventory, take_stock
from nexus.archive.merging import Group, Merging
from nexus.archive.names import ReignName, RunName, SnapshotName
from nexus.archive.planning import coverage, resume_after
from nexus.archive.runs import pack_run
from nexus.archive.stores import Store
from nexus.errors import ArchiveError, LogGapError
from nexus.model.entry import Record, written_us
from nexus.model.position import EpochHistory, Offset, Position, Reign
from nexus.storage.wal import WriteAheadLog

RUN_BYTES: Final = 8 << 20
"""Of entries in one run, or one entry that is larger: bounds the memory."""

READ_BYTES: Final = 512 << 10
"""Read of the log at once: the interpreter is free for others in between."""

LEVEL: Final = 3
"""Of zstd."""

REPLACED_S: Final = 3600.0
"""So long runs stay that were merged: longer than a restore takes to read them."""


class ReignOverError(ArchiveError):
    """This node reigns no more, so it archives nothing more."""

    code = "reign_over"


class Uploader:
    """One reign's way into one store."""

    def __init__(
        self,
        store: Store,
        log: WriteAheadLog,
        cluster_id: str,
        history: EpochHistory,
        still: Callable[[], bool],
    ) -> None:
        """`still` tells whether the reign, the last of `history`, goes on."""
        self._store = store
        self._log = log
        self._cluster_id = cluster_id
        self.history = history
        self._still = still
        self._sizes: dict[str, int] = {}
        """What was written and not seen in a listing since."""
        self._seen: set[str] = set()
        """What the last listing held, less what was deleted here since."""
        self._told: set[ReignName] = set()
        self.covered: Offset | None = None
        """Everything up to here can be restored; None: nothing can."""
        self.carried = Offset(0)
        """The last entry that was carried; below `covered` while a hole is filled."""
        self.snapshot: SnapshotName | None = None
        """The one that holds the most of this history."""
        self._merging = Merging(most_bytes=RUN_BYTES - READ_BYTES)
        self._replaced: deque[tuple[float, list[str]]] = deque()
        """Runs that are merged, and since when; who restores may be reading them."""
        self.bytes_sent = 0
        self.lost = ""
        """What the last audit, or a comparison since, has not found; empty: nothing."""

    def begin(self) -> None:
        """List the archive, make this reign known, and find where to go on."""
        inventory = self.look()
        self._seen = set(inventory.sizes)
        for reign in self.history.reigns:
            name = ReignName.of(self._cluster_id, reign)
            if name in inventory.histories:
                self._told.add(name)
        self._tell(self.history.reigns[-1])
        self._take_up(inventory)

    def look(self) -> Inventory:
        """What the archive holds of this cluster."""
        found = take_stock(self._store.list(self._cluster_id))
        return found.get(self._cluster_id) or Inventory(self._cluster_id)

    def carry(self, limit: Offset) -> bool:
        """Upload the next run of entries up to `limit`; False if there are none.

        Raises LogGapError where the log does not hold them any more.
        """
        first = Offset(self.carried + 1)
        if first > limit:
            return False
        reign = self.history.reign_at(first)
        if reign is None or reign.first_offset > first:
            raise LogGapError(f"entry {first} is of no reign that this log knows")
        records = self._read(first, min(limit, self._end_of(reign)))
        name, data = pack_run(
            ReignName.of(self._cluster_id, reign), records, level=LEVEL
        )
        self._tell(reign)
        self._put(name, data)
        if self.covered is not None and first <= self.covered + 1:
            self.covered = max(self.covered, name.last)
        self.carried = name.last
        self._merge(self._merging.add(name, _size_of(records)))
        return True

    def sweep(self, now_s: float) -> None:
        """Delete the runs that were merged so long ago that nobody reads them."""
        while self._replaced and self._replaced[0][0] < now_s - REPLACED_S:
            self.delete(self._replaced.popleft()[1])

    def name_snapshot(self, position: Position) -> SnapshotName:
        """What a snapshot is to be called; raises ArchiveError for another history's.

        Its reign's folder says then what came before.
        """
        reign = self.history.reign_at(position.offset)
        if reign is None or self.history.position_at(position.offset) != position:
            raise ArchiveError(
                f"the snapshot at {position} is not of this master's history; another "
                "one is made"
            )
        self._tell(reign)
        return SnapshotName(
            ReignName.of(self._cluster_id, reign),
            position.offset,
            self._time_at(position.offset),
        )

    def snapshot_added(self, name: SnapshotName, size: int) -> Inventory:
        """A snapshot was uploaded: go on from there if there was a gap."""
        self._sizes[str(name)] = size
        self.bytes_sent += size
        return self._compared()

    def audit(self) -> None:
        """Compare what was written with what is there, and go on from what is whole.

        What was lost before is told no more: it has been carried again, or a snapshot
        has made the archive whole from there on.
        """
        self.lost = ""
        self._compared()

    def _compared(self) -> Inventory:
        """What the archive holds; what it should hold besides is `lost`.

        An object of another size than was written is removed: it would stand in the
        way of the same entries, written again.
        """
        inventory = self.look()
        cut = [
            name
            for name, size in self._sizes.items()
            if inventory.sizes.get(name, size) != size
        ]
        gone = sorted((self._seen | self._sizes.keys()) - inventory.sizes.keys())
        if cut:
            self._store.delete(cut)
            inventory = self.look()
        self._sizes.clear()
        self._seen = set(inventory.sizes)
        self._take_up(inventory)
        if cut or gone:
            named = ", ".join((cut + gone)[:3])
            self.lost = f"the archive has lost {named}, which it had taken"
        return inventory

    def delete(self, names: list[str]) -> None:
        """Remove what retention no longer keeps."""
        self._store.delete(names)
        self._seen.difference_update(names)
        for name in names:
            self._sizes.pop(name, None)

    def _take_up(self, inventory: Inventory) -> None:
        """Go on at the first hole that the log can fill."""
        self.covered = coverage(inventory, self.history)
        snapshots = inventory.snapshots_of(self.history)
        self.snapshot = snapshots[-1] if snapshots else None
        after = resume_after(inventory, self.history, self._log.first_offset)
        if after is not None:
            self.carried = after

    def _put(self, name: RunName, data: bytes) -> None:
        self._store.put(str(name), data)
        self._sizes[str(name)] = len(data)
        self.bytes_sent += len(data)

    def _merge(self, group: Group | None) -> None:
        """Write one run in place of many, from the log; these go later."""
        while group is not None:
            first, last = group.runs[0].first, group.runs[-1].last
            try:
                records = self._read(first, last)
            except LogGapError:
                return  # the log no longer holds them; they stay as they are
            name, data = pack_run(group.runs[0].reign, records, level=LEVEL)
            if name.last != last:
                return
            self._put(name, data)
            replaced = [str(run) for run in group.runs]
            self._replaced.append((time.monotonic(), replaced))
            group = self._merging.add(name, _size_of(records), group.level)

    def _tell(self, reign: Reign) -> None:
        """Make sure that the reign's folder says what came before."""
        name = ReignName.of(self._cluster_id, reign)
        if name in self._told:
            return
        history = self.history.truncated_after(reign.first_offset)
        self._store.put(name.history, msgspec.json.encode(history))
        self._told.add(name)

    def _end_of(self, reign: Reign) -> Offset:
        """The last offset of a reign, as far as this history goes."""
        for other in self.history.reigns:
            if other.first_offset > reign.first_offset:
                return Offset(other.first_offset - 1)
        return Offset(self._log.last_offset)

    def _read(self, first: Offset, last: Offset) -> list[Record]:
        """Entries from `first` on, at least one and at most RUN_BYTES of them.

        While the reign goes on nothing that it committed is taken back. So what was
        read is of this history if the reign goes on afterwards.
        """
        records: list[Record] = []
        size = 0
        with closing(self._log.cursor(first)) as cursor:
            while cursor.offset <= last and size < RUN_BYTES:
                found = cursor.read(Offset(last + 1), READ_BYTES)
                records += found
                size += _size_of(found)
        if not self._still():
            raise ReignOverError("this node is the master no more")
        return records

    def _time_at(self, offset: Offset) -> int:
        """When an entry was made; now, for one that the log does not hold."""
        try:
            with closing(self._log.cursor(offset)) as cursor:
                for record in cursor.read(Offset(offset + 1), 1):
                    return written_us(record.payload)
        except LogGapError:
            pass
        return time.time_ns() // 1000


def _size_of(records: Sequence[Record]) -> int:
    return sum(len(record.payload) for record in records)
