"""A point in history, and the history itself: who reigned from which offset on.

Two logs that agree on a position agree on everything before it. An (epoch, offset)
pair alone does not name an entry: two masters forced into one epoch would both
write it, so a position carries the history id of its reign as well.
"""

from typing import Annotated, Final, NewType

import msgspec

# What a log record, a catalog and a SQLite column all hold: checked wherever bytes
# of a peer or of a disk are decoded.
Natural = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]

Offset = NewType("Offset", Natural)
Epoch = NewType("Epoch", Natural)
HistoryId = NewType("HistoryId", str)

NO_OFFSET: Final = Offset(0)
"""Before the first entry; the first has offset 1."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """An entry's place in history; printed and parsed as `epoch:offset@history`."""

    epoch: Epoch = Epoch(0)
    offset: Offset = NO_OFFSET
    history_id: HistoryId = HistoryId("")

    def _printed(self) -> str:
        return f"{self.epoch}:{self.offset}@{self.history_id}"

    __str__ = _printed

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Read what `str` printed; raises ValueError for anything else."""
        numbers, _, history_id = text.partition("@")
        epoch, colon, offset = numbers.partition(":")
        if not (colon and epoch.isdecimal() and offset.isdecimal()):
            raise ValueError(f"{text!r} is not a position like 3:120@9f86d081")
        return cls(Epoch(int(epoch)), Offset(int(offset)), HistoryId(history_id))


IMPORT: Final = "import"
"""Why a history began that no master began: with a database from elsewhere."""

ORIGIN: Final = Position()
"""The position of an empty log."""


class Reign(msgspec.Struct, frozen=True, array_like=True):
    """One writer's time: every entry from `first_offset` on, until the next reign.

    The entry at `first_offset` is empty and carries this record.
    """

    epoch: Epoch
    history_id: HistoryId
    master_id: str
    first_offset: Offset
    started_us: int
    """Microseconds since 1970."""
    why: str
    """`start`, `promote`, `switchover`, `failover`, `force`, `mode` or `import`."""
    mode: str = ""
    """`sync` or `async`: what its acknowledgements mean; empty where nobody said."""


class EpochHistory(msgspec.Struct, frozen=True, array_like=True):
    """All reigns of one log, oldest first; offsets grow strictly."""

    reigns: tuple[Reign, ...] = ()

    @property
    def epoch(self) -> Epoch:
        """The latest epoch, 0 before the first reign."""
        return self.reigns[-1].epoch if self.reigns else Epoch(0)

    @property
    def history_id(self) -> HistoryId:
        """The latest history id, empty before the first reign."""
        return self.reigns[-1].history_id if self.reigns else HistoryId("")

    @property
    def mode(self) -> str:
        """What the latest reign that says so has acknowledged in; empty: none does."""
        return next((one.mode for one in reversed(self.reigns) if one.mode), "")

    @property
    def is_import(self) -> bool:
        """Whether nobody has reigned yet over an imported database."""
        return len(self.reigns) == 1 and self.reigns[0].why == IMPORT

    def count(self, why: str) -> int:
        """How many reigns began for that reason."""
        return sum(reign.why == why for reign in self.reigns)

    @property
    def failovers(self) -> int:
        """How often voters or etcd replaced a master; the first one replaced nobody."""
        reigned = tuple(reign for reign in self.reigns if reign.why != IMPORT)
        return EpochHistory(reigned[1:]).count("failover")

    def begun(self, reign: Reign) -> "EpochHistory":
        """This history with one more reign at its end."""
        assert not self.reigns or reign.first_offset > self.reigns[-1].first_offset, (
            "a reign begins after the one before it"
        )
        return EpochHistory((*self.reigns, reign))

    def truncated_after(self, last_kept: Offset) -> "EpochHistory":
        """This history without the reigns that begin after `last_kept`."""
        return EpochHistory(
            tuple(reign for reign in self.reigns if reign.first_offset <= last_kept)
        )

    def reign_at(self, offset: Offset) -> Reign | None:
        """The reign in which the entry at `offset` was written."""
        for reign in reversed(self.reigns):
            if reign.first_offset <= offset:
                return reign
        return None

    def position_at(self, offset: Offset) -> Position:
        """The full position of the entry at `offset`; ORIGIN for offset 0."""
        reign = self.reign_at(offset)
        if reign is None:
            return ORIGIN
        return Position(reign.epoch, offset, reign.history_id)

    def fork_offset(
        self, other: "EpochHistory", *, own_end: Offset, other_end: Offset
    ) -> Offset:
        """The last offset up to which both logs are the same; 0 when none is.

        `own_end` and `other_end` are the last offsets of the two logs. The fork is
        the smaller end of the last history id that both share.
        """
        other_ends = dict(other.ends(other_end))
        for history_id, end in reversed(self.ends(own_end)):
            if history_id in other_ends:
                return Offset(min(end, other_ends[history_id]))
        return NO_OFFSET

    def ends(self, last: Offset) -> list[tuple[HistoryId, Offset]]:
        """Each reign's history id with the last offset written in it."""
        nexts = [Offset(reign.first_offset - 1) for reign in self.reigns[1:]]
        return [
            (reign.history_id, end)
            for reign, end in zip(self.reigns, [*nexts, last], strict=False)
        ]
