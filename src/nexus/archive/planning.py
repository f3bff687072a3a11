"""Which objects bring a moment back, and how far an archive covers a history.

Pure: a listing and a history in, a plan out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nexus.archive.inventory import Inventory
from nexus.archive.names import ReignName, RunName, SnapshotName
from nexus.errors import ArchiveIncompleteError
from nexus.model.position import NO_OFFSET, EpochHistory, Offset


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of a run that is wanted: the history may have left its reign before."""

    run: RunName
    first: Offset
    last: Offset


@dataclass(frozen=True, slots=True)
class Plan:
    """A snapshot, and the entries after it, in order and without a gap."""

    snapshot: SnapshotName
    pieces: tuple[Piece, ...]

    @property
    def offset(self) -> Offset:
        """The last entry that it brings back."""
        return self.pieces[-1].last if self.pieces else self.snapshot.offset


class Chain:
    """A history's runs as one sequence of entries."""

    def __init__(self, inventory: Inventory, history: EpochHistory) -> None:
        self._inventory = inventory
        self._history = history
        self._runs = inventory.runs_of(history)
        ends = [Offset(reign.first_offset - 1) for reign in history.reigns[1:]]
        self._ends: list[Offset | None] = [*ends, None]

    def pieces(self, after: Offset) -> Iterator[Piece]:
        """From the entry behind `after` on, until the first that is not there."""
        wanted = Offset(after + 1)
        for name, begins, end in self._bounds():
            if wanted < begins:
                return
            runs, at, best = self._runs[name], 0, None
            while end is None or wanted <= end:
                # Of the runs that hold the entry the one that reaches furthest.
                while at < len(runs) and runs[at].first <= wanted:
                    if best is None or runs[at].last > best.last:
                        best = runs[at]
                    at += 1
                if best is None or best.last < wanted:
                    return
                last = best.last if end is None else Offset(min(best.last, end))
                yield Piece(best, wanted, last)
                wanted = Offset(last + 1)

    def reach(self, after: Offset) -> Offset:
        """The last entry that is there without a gap behind `after`."""
        last = after
        for piece in self.pieces(after):
            last = piece.last
        return last

    def every_piece(self) -> list[Piece]:
        """What any run holds of this history, by first offset; they may overlap."""
        found = []
        for name, begins, end in self._bounds():
            for run in self._runs[name]:
                last = run.last if end is None else min(run.last, end)
                first = max(run.first, begins)
                if first <= last:
                    found.append(Piece(run, Offset(first), Offset(last)))
        return sorted(found, key=lambda piece: (piece.first, piece.last))

    def next_held(self, after: Offset) -> Offset | None:
        """The first entry behind `after` that any run holds."""
        held = [max(p.first, after + 1) for p in self.every_piece() if p.last > after]
        return Offset(min(held)) if held else None

    def _bounds(self) -> Iterator[tuple[ReignName, Offset, Offset | None]]:
        for reign, end in zip(self._history.reigns, self._ends, strict=True):
            name = self._inventory.name_of(reign.epoch, reign.history_id)
            yield name, reign.first_offset, end


def coverage(inventory: Inventory, history: EpochHistory) -> Offset | None:
    """The last entry of this history that can be restored; None if there is nothing."""
    chain = Chain(inventory, history)
    reached = [chain.reach(one.offset) for one in inventory.snapshots_of(history)]
    return max(reached, default=None)


def windows(inventory: Inventory, history: EpochHistory) -> list[tuple[Offset, Offset]]:
    """From which entry up to which every moment can be restored, oldest first."""
    chain = Chain(inventory, history)
    found: list[tuple[Offset, Offset]] = []
    for snapshot in inventory.snapshots_of(history):
        reach = chain.reach(snapshot.offset)
        if found and snapshot.offset <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], reach))
        else:
            found.append((snapshot.offset, reach))
    return found


def gaps(inventory: Inventory, history: EpochHistory) -> list[tuple[Offset, Offset]]:
    """The missing entries behind which others are there, runs or a snapshot."""
    chain = Chain(inventory, history)
    known = windows(inventory, history)
    found: list[tuple[Offset, Offset]] = []
    for _, end in known:
        after = [first for first, _ in known if first > end]
        if (held := chain.next_held(end)) is not None:
            after.append(held)
        if after and min(after) > end + 1:
            found.append((Offset(end + 1), Offset(min(after) - 1)))
    return found


def resume_after(
    inventory: Inventory, history: EpochHistory, log_first: Offset
) -> Offset | None:
    """Behind which entry a log that begins at `log_first` goes on; None: nowhere.

    That is the first hole that it can fill: a newer snapshot may stand behind entries
    that nobody has archived, and every moment between is to be restorable.
    """
    chain = Chain(inventory, history)
    reached = [chain.reach(one.offset) for one in inventory.snapshots_of(history)]
    fillable = [end for end in reached if end + 1 >= log_first]
    return min(fillable, default=max(reached, default=None))


def held_end(inventory: Inventory, history: EpochHistory) -> Offset:
    """The last entry of this history that any object holds, restorable or not."""
    ends = [piece.last for piece in Chain(inventory, history).every_piece()]
    ends += [one.offset for one in inventory.snapshots_of(history)]
    return max(ends, default=NO_OFFSET)


def plan_restore(
    inventory: Inventory, history: EpochHistory, to_offset: Offset | None
) -> Plan:
    """What brings the entry `to_offset` back, or else the newest that is held.

    Raises ArchiveIncompleteError that names what is missing.
    """
    chain = Chain(inventory, history)
    snapshots = inventory.snapshots_of(history)
    if not snapshots:
        raise ArchiveIncompleteError(
            f"there is no snapshot of cluster {inventory.cluster_id} in its history "
            f"{history.history_id}, so its entries have nothing to begin from; restore "
            "another history with --history, or another archive"
        )
    wanted = held_end(inventory, history) if to_offset is None else to_offset
    usable = [one for one in snapshots if one.offset <= wanted]
    if not usable:
        raise ArchiveIncompleteError(
            f"the oldest moment that is kept is entry {snapshots[0].offset}, and entry "
            f"{wanted} was asked for"
        )
    snapshot = usable[-1]
    pieces: list[Piece] = []
    last = snapshot.offset
    for piece in chain.pieces(snapshot.offset):
        if last >= wanted:
            break
        last = Offset(min(piece.last, wanted))
        pieces.append(Piece(piece.run, piece.first, last))
    if last < wanted:
        raise _gap(inventory, chain, last, wanted)
    return Plan(snapshot, tuple(pieces))


def _gap(
    inventory: Inventory, chain: Chain, last: Offset, wanted: Offset
) -> ArchiveIncompleteError:
    beyond = chain.next_held(last)
    first, end = last + 1, wanted if beyond is None else beyond - 1
    missing = f"entries {first} to {end}" if first < end else f"entry {first}"
    if beyond is None:
        missing += " and whatever came after"
    return ArchiveIncompleteError(
        f"the archive lacks {missing} of cluster {inventory.cluster_id}, so entry "
        f"{wanted} cannot be restored; --to-offset {last} brings back the last moment "
        "before"
    )


def newest_first(
    inventory: Inventory, history: EpochHistory, time_us: int
) -> Sequence[Piece]:
    """Where the last entry made at `time_us` or before may be: newest runs first."""
    pieces = Chain(inventory, history).every_piece()
    return [piece for piece in reversed(pieces) if piece.run.earliest_us <= time_us]
