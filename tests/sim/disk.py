"""A node's disk: what it holds, and what a power cut leaves of it."""

import random
from collections.abc import Iterable
from copy import copy as shallow_copy
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from nexus.model.entry import Record, decode_payload
from nexus.model.operation import Configuration, Reigned
from nexus.model.position import NO_OFFSET, EpochHistory, Offset, Reign
from nexus.replication.elections.effects import VoteRecord
from nexus.replication.members.electorate import ConfigurationEntry

if TYPE_CHECKING:
    from sim.surgery import Intent


@lru_cache(maxsize=65_536)
def own_of(payload: bytes) -> tuple[Reign | None, Configuration | None]:
    """What an entry says of reign and voters."""
    reign = configuration = None
    for operation in decode_payload(payload).operations:
        if isinstance(operation, Reigned):
            reign = operation.reign
        elif isinstance(operation, Configuration):
            configuration = operation
    return reign, configuration


def continued(history: EpochHistory, records: Iterable[Record]) -> EpochHistory:
    """The history with the reigns that begin in these entries."""
    for record in records:
        reign = own_of(record.payload)[0]
        if reign is not None:
            history = history.begun(reign)
    return history


@dataclass(frozen=True, slots=True)
class Copy:
    """A snapshot: rows up to a position, with what the log said before it."""

    rows: tuple[Record, ...]
    history: EpochHistory
    configurations: tuple[ConfigurationEntry, ...]

    @property
    def offset(self) -> Offset:
        return Offset(len(self.rows))


class Disk:
    """Catalog, log and database; only what is synced outlives a crash for certain."""

    def __init__(self, formed: ConfigurationEntry) -> None:
        self.record = VoteRecord()
        self.writing: VoteRecord | None = None
        """What the catalog is about to hold."""
        self.first = Offset(1)
        self.log: list[Record] = []
        self.synced = 0
        """How many of the log's records are synced."""
        self.rows: list[Record] = []
        """The database: every entry applied, in order, from the first one on."""
        self.rows_synced = 0
        """How many of them a checkpoint has synced."""
        self.base = EpochHistory()
        """The reigns of what the log does not hold any more."""
        self.formed: tuple[ConfigurationEntry, ...] = (formed,)
        self.exported: set[bytes] = set()
        self.intent: Intent | None = None
        """A rewind or an install that has begun, as the catalog has it."""
        self.chosen: frozenset[Record] | None = None
        """In the catalog: an operator's pause, and what is applied all the same."""
        self.full = False
        self.crowded = False
        """A replica's log finds no room for what is to be stored; it tries again."""
        self.watermark = NO_OFFSET
        """As far as the catalog knows that the log was once durable."""
        self.incomplete = False
        """In the catalog: log and database were lost, and are not all there again."""
        self.refilled = False
        """In the catalog: a full sync came since then."""
        self.lost: set[Record] = set()
        """What it held, and acknowledged, before it was wiped."""
        self.checked = 0
        """Up to here the log was found to be the committed one."""

    @property
    def end(self) -> Offset:
        """The last offset in the log, synced or not."""
        return Offset(self.first + len(self.log) - 1)

    @property
    def durable(self) -> Offset:
        """The last offset that is synced."""
        return Offset(self.first + self.synced - 1)

    @property
    def applied(self) -> Offset:
        """The database's position."""
        return Offset(len(self.rows))

    def at(self, offset: int) -> Record | None:
        """The log's record there, None where the log does not reach."""
        index = offset - self.first
        return self.log[index] if 0 <= index < len(self.log) else None

    def holds(self, offset: int) -> Record | None:
        """The entry there, from the log, or from the rows where that was shortened."""
        if self.first <= offset or offset > len(self.rows):
            return self.at(offset)
        return self.rows[offset - 1]

    def append(self, records: list[Record]) -> None:
        """Write behind the end, not synced yet."""
        assert records[0].offset == self.end + 1, "the log has no gap"
        self.log.extend(records)

    def sync(self) -> None:
        """What was appended is durable now."""
        self.synced = len(self.log)

    def cut(self, last_kept: int) -> list[Record]:
        """Truncate the log, synced; what is gone."""
        keep = max(0, last_kept - self.first + 1)
        gone = self.log[keep:]
        self.checked = min(self.checked, last_kept)
        del self.log[keep:]
        self.synced = len(self.log)
        return gone

    def drop_before(self, first: Offset) -> None:
        """Retention: the log begins at `first`; the rows were checkpointed."""
        self.base = self.history().truncated_after(Offset(first - 1))
        self.formed = self.configurations(Offset(first - 1)) or self.formed
        del self.log[: first - self.first]
        self.synced = len(self.log)
        self.first = first

    def restart(self, copy: Copy) -> list[Record]:
        """The log begins behind a snapshot, synced; what is gone and not in it."""
        self.refilled = True
        gone = [
            one
            for one in self.log
            if one.offset > copy.offset or copy.rows[one.offset - 1] != one
        ]
        self.log = []
        self.synced = 0
        self.checked = 0
        self.first = Offset(copy.offset + 1)
        self.base = copy.history
        self.formed = copy.configurations or self.formed
        return gone

    def history(self) -> EpochHistory:
        """Every reign, as the log's first entries of reigns say."""
        return continued(self.base, self.log)

    def configurations(
        self, last: Offset | None = None
    ) -> tuple[ConfigurationEntry, ...]:
        """Every configuration known, oldest first, up to an offset."""
        found = list(self.formed)
        for record in self.log:
            if last is not None and record.offset > last:
                break
            configuration = own_of(record.payload)[1]
            if configuration is not None:
                found.append(ConfigurationEntry(record.offset, configuration))
        return tuple(found)

    def copy(self) -> Copy:
        """A snapshot of the database as it stands."""
        position = Offset(len(self.rows))
        return Copy(
            tuple(self.rows),
            self.history().truncated_after(position),
            self.configurations(position)[-1:],
        )

    @property
    def is_sound(self) -> bool:
        """Whether the log reaches what the catalog says was acknowledged."""
        return not self.incomplete and self.end >= self.watermark

    def rot(self, count: int) -> None:
        """The last records are unreadable, though they were synced."""
        self.watermark = max(self.watermark, self.durable)
        least = max(self.first - 1, self.end - count)
        self.lost.update(self.cut(least))
        del self.rows[least:]
        self.rows_synced = len(self.rows)

    def kept(self) -> "Disk":
        """A copy of all of it, as an operator makes one while the node stands still."""
        twin = shallow_copy(self)
        twin.log, twin.rows = self.log[: self.synced], list(self.rows)
        twin.exported = set(self.exported)
        return twin

    def restored(self, older: "Disk") -> None:
        """An older copy of all of it is put back: its catalog is younger than it says.

        What the catalog says of a full sync that is due holds; it forgets the votes. An
        operator who has ended a pause since then ends it again.
        """
        held = {*self.lost, *self.rows, *self.log[: self.synced]}
        exported = self.exported | older.exported
        refilled = older.refilled or not older.incomplete
        chosen = None if self.chosen is None else older.chosen
        self.__dict__.update(older.__dict__)
        self.chosen = chosen
        self.lost, self.exported, self.checked = held, exported, 0
        self.rows_synced = len(self.rows)
        self.writing = None
        self.incomplete, self.refilled = True, refilled

    def wipe(self) -> None:
        """Log and database are gone; the catalog knows that they were there."""
        self.watermark = NO_OFFSET
        self.lost.update(self.rows, self.log[: self.synced])
        self.intent = None
        self.incomplete, self.refilled = True, False
        self.first = Offset(1)
        self.log, self.rows = [], []
        self.synced = self.rows_synced = self.checked = 0
        self.base = EpochHistory()

    def lose_power(self, chance: random.Random) -> None:
        """What was not synced is there, or is not; a torn record ends the log."""
        if self.writing is not None and chance.random() < 0.5:
            self.record = self.writing
        self.writing = None
        kept = chance.randint(self.synced, len(self.log))
        del self.log[kept:]
        self.checked = min(self.checked, int(self.end))
        # The scan at the start syncs what it finds.
        self.synced = len(self.log)
        least = min(self.rows_synced, len(self.rows))
        del self.rows[chance.randint(least, len(self.rows)) :]
        self.rows_synced = len(self.rows)
