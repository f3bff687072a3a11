"""A replica's log as it grows: what fits, what is durable, what may be applied."""

from collections.abc import Sequence

from nexus.errors import ProtocolError
from nexus.model.entry import Record
from nexus.model.position import (
    NO_OFFSET,
    Epoch,
    EpochHistory,
    Offset,
    Position,
    Reign,
)
from nexus.protocol.messages import Ping, WalEntry, Welcome
from nexus.replication.settings import RecoveredState
from nexus.replication.timing.ages import EntryAges
from nexus.replication.timing.delay import Delay, wanted_ms


class Incoming:
    """The offsets of one replica; `applied <= durable <= received` always holds."""

    def __init__(self, recovered: RecoveredState, delay_ms: int = 0) -> None:
        self._history = recovered.history
        self.received = recovered.durable_offset
        """The end of what is stored, or about to be."""
        self.durable = recovered.durable_offset
        self.applied = recovered.applied_offset
        self.goal = recovered.applied_offset
        """Up to where an Apply was asked for."""
        self.entries_received = 0
        self.entries_applied = 0
        self._ages = EntryAges()
        self.delay = Delay(delay_ms)
        for offset, stamp_us in recovered.written:
            self.delay.note(offset, stamp_us)
        self.master_offset = NO_OFFSET
        self._told_commit = NO_OFFSET
        self._told_held = NO_OFFSET
        self._matched = False
        """Whether the master's log is this log, up to its end (hard-case 9)."""
        self._reign: Reign | None = None
        """Of the next entry expected; it stops before `_reign_stop`."""
        self._reign_stop: float = 0.0

    @property
    def history(self) -> EpochHistory:
        """The reigns of what was received."""
        return self._history.truncated_after(self.received)

    @property
    def whole_history(self) -> EpochHistory:
        """The reigns of the master's log, those not received included."""
        return self._history

    @property
    def position(self) -> Position:
        """Of the last entry received."""
        return self._history.position_at(self.received)

    @property
    def commit(self) -> Offset:
        """The least of what the master said and what was matched with it."""
        return min(self._told_commit, self.received) if self._matched else NO_OFFSET

    @property
    def held_by_all(self) -> Offset:
        """What every voter holds for good, as far as it is committed here too."""
        return min(self._told_held, self.commit)

    @property
    def safe(self) -> Offset:
        """How far entries could be applied: committed, and durable here."""
        return min(self.commit, self.durable)

    def to_apply(self, now_ms: int) -> Offset:
        """How far entries may be applied by now."""
        return self.delay.ripe(self.safe, now_ms)

    def met(self, welcome: Welcome, now_ms: int) -> None:
        """Another connection: what a master said before says nothing of this one."""
        self._matched = False
        self.master_offset = self._told_commit = NO_OFFSET
        self._ages.forget_after(max(welcome.current_offset, self.received))
        self.told(welcome.current_offset, welcome.commit_offset, now_ms)

    def matched(self, history: EpochHistory) -> None:
        """The master's log is this log up to its end, and goes on with `history`."""
        self._history = history
        self._matched = True
        self._enter_reign(Offset(self.received + 1))

    def unmatched(self) -> None:
        """Entries are taken back or replaced: none is applied until that has ended."""
        self._matched = False

    def rewound(self, end: Offset) -> None:
        """The entries after `end` were taken back, out of log and database."""
        self._history = self._history.truncated_after(end)
        self.received = self.durable = end
        self.applied = self.goal = min(self.applied, end)
        self.delay.ends_at(end)

    def replaced(self, history: EpochHistory, position: Position) -> None:
        """A snapshot was installed: database and log stand at its position."""
        self._matched = False
        self._history = history
        self.received = self.durable = position.offset
        self.applied = self.goal = position.offset
        self._ages.forget_through(position.offset)
        self.delay.replaced(position.offset)

    def take(self, entries: Sequence[WalEntry], now_ms: int) -> list[Record]:
        """The records to store; entries that are known already are left out.

        Raises ProtocolError for a gap, or an entry that is not of the master's
        history; then nothing has changed.
        """
        records: list[Record] = []
        append = records.append
        expected: int = self.received + 1
        reign = self._reign
        epoch = reign.epoch if reign else Epoch(0)
        history_id = reign.history_id if reign else ""
        stop = self._reign_stop
        for entry in entries:
            offset = entry.offset
            if (
                offset != expected
                or offset >= stop
                or entry.epoch != epoch
                or entry.history_id != history_id
            ):
                self._check(entry, expected)
                if offset < expected:
                    continue
                epoch, history_id = entry.epoch, entry.history_id
                stop = self._enter_reign(offset)
            append(Record(epoch, offset, entry.entry))
            expected += 1
        if records:
            self.received = records[-1].offset
            self.entries_received += len(records)
            self.delay.received(records, now_ms)
        self.told(self.received, entries[-1].commit_offset, now_ms)
        return records

    def pinged(self, ping: Ping, now_ms: int) -> None:
        """What the master says of its log, and of what every voter holds of it."""
        self._told_held = max(self._told_held, ping.held_offset)
        self.delay.told(ping.clock_us, now_ms)
        self.told(ping.current_offset, ping.commit_offset, now_ms)

    def told(self, current: Offset, commit: Offset, now_ms: int) -> None:
        """The master's log reaches `current`, and is committed up to `commit`."""
        self.master_offset = max(self.master_offset, current)
        self._told_commit = max(self._told_commit, commit)
        self._ages.note(self.master_offset, now_ms)

    def has_applied(self, offset: Offset) -> None:
        """The database holds the entries up to `offset`."""
        assert offset <= self.durable, (
            f"entry {offset} was applied, but only {self.durable} is durable"
        )
        if offset > self.applied:
            self.entries_applied += offset - self.applied
            self.applied = offset
            self._ages.forget_through(offset)

    def behind(self) -> int:
        """Entries that the master has, as far as is known, and the database lacks."""
        return max(self.master_offset, self.received) - self.applied

    def lag(self, now_ms: int) -> int:
        """Those of them that no delay accounts for."""
        delay_ms = self.delay.delay_ms
        if not delay_ms:
            return self.behind()
        due = self._ages.known_at(now_ms - wanted_ms(delay_ms))
        return max(0, due - self.applied)

    def lag_ms(self, now_ms: int) -> int:
        """Since when the oldest of them should have been applied."""
        age_ms = self._ages.age_ms(self.applied, now_ms)
        return max(0, age_ms - wanted_ms(self.delay.delay_ms))

    def _enter_reign(self, offset: Offset) -> float:
        """Make the reign of the entry at `offset` the expected one; where it stops."""
        self._reign = self._history.reign_at(offset)
        later = (
            reign.first_offset
            for reign in self._history.reigns
            if reign.first_offset > offset
        )
        self._reign_stop = min(later, default=float("inf"))
        return self._reign_stop

    def _check(self, entry: WalEntry, expected: int) -> None:
        if entry.offset > expected:
            raise ProtocolError(
                f"a gap: entry {entry.offset} came where {expected} was expected"
            )
        said = Position(entry.epoch, entry.offset, entry.history_id)
        known = self._history.position_at(entry.offset)
        if said != known:
            raise ProtocolError(f"entry {said} came, the history has {known} there")
