"""What must always hold (the architecture's invariants), checked as it happens.

The checkers see the truth that no node sees: every disk at once. They keep the one
true log of committed entries, and what was ever written at each position.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable

from nexus.model.cluster import Mode
from nexus.model.entry import Record
from nexus.model.position import EpochHistory, Offset
from nexus.replication.members.electorate import ConfigurationEntry
from sim.disk import Disk, own_of
from sim.plan import Plan
from sim.stranger import ENTRY, EPOCH


class RuleError(AssertionError):
    """An invariant does not hold; says which, and what was found."""


ON_ITS_WAY = 30
"""A window of entries, a batch, and what comes until a voter's removal is logged."""

PASSES = 5
"""A reign's first entry, and the batch that the one before it had logged last."""

PATIENCE_MS = 600
"""The longest that a granted pre-vote is on its way, a slow disk included."""

Place = tuple[int, str, int]
"""Epoch, history id, offset."""


class Checkers:
    """The truth about one run."""

    def __init__(self, plan: Plan, disks: dict[str, Disk]) -> None:
        self._mode = plan.mode
        self._hold = plan.hold
        self._quorum = plan.sync_quorum
        self._weak = plan.is_weak
        """Less than a majority was asked for: what is committed may be lost."""
        self._ever_committed: set[Record] = set()
        self._disks = disks
        self.committed: list[Record] = []
        """Entries that a quorum was found to hold, from offset 1 on."""
        self._committed_in: list[int] = []
        """The epoch of the master that said so, for each."""
        self._written: dict[Place, tuple[bytes, Place]] = {}
        self._reigns: dict[int, str] = {}
        self._sticky = 0
        """The highest epoch that was won although voters are loyal to their master."""
        self._acknowledges: dict[int, str] = {}
        self._acknowledged: dict[str, Offset] = {}
        """By transaction id."""
        self._last_acknowledged = Offset(0)
        self._read_least: dict[str, Offset] = {}
        self._refused: set[str] = set()
        self.clocks_run = True
        """Without jumps no second master is elected while a lease lasts."""

    # --- As it happens ---------------------------------------------------------------

    def appended(
        self, name: str, disk: Disk, records: Iterable[Record], history: EpochHistory
    ) -> None:
        """Invariant 3: what follows a position is the same on every node."""
        for at, record in enumerate(records, start=disk.end + 1):
            before = history.position_at(Offset(record.offset - 1))
            here = history.position_at(record.offset)
            if here.epoch != record.epoch:
                raise RuleError(
                    f"{name} stores {record.epoch}:{record.offset}, which its history "
                    f"has as {here}"
                )
            if record.payload == ENTRY:
                raise RuleError(f"{name} stores an entry of another cluster")
            place = (here.epoch, here.history_id, here.offset)
            entry = (
                record.payload,
                (before.epoch, before.history_id, before.offset),
            )
            if self._written.setdefault(place, entry) != entry:
                raise RuleError(f"log matching: {name} stores another entry at {here}")
            if record.offset != at:
                raise RuleError(f"{name} stores entry {record.offset} at {at}")

    def starts(self, name: str, disk: Disk, *, witness: bool) -> None:
        """Hard-case 2: log and database agree, whatever a crash came between."""
        applied = disk.applied
        if not witness and not disk.first - 1 <= applied <= disk.end:
            raise RuleError(
                f"{name} starts with a log of {disk.first} to {disk.end}, and a "
                f"database at {applied}"
            )
        rows = disk.rows[disk.first - 1 :]
        if rows != disk.log[: len(rows)]:
            raise RuleError(f"{name} starts with a database that is not its log's")

    def in_force(self, name: str, disk: Disk, known: ConfigurationEntry) -> None:
        """Hard-case 3: the voters are those that the log names last."""
        logged = disk.configurations()[-1]
        if known != logged:
            raise RuleError(f"{name} goes by {known}, its log has {logged}")

    def persists(self, name: str, epoch: int) -> None:
        """Another cluster's epoch is nobody's here."""
        if epoch >= EPOCH:
            raise RuleError(f"{name} takes over epoch {epoch} of another cluster")

    def welcomes(self, name: str) -> None:
        """A node of another cluster was told that it may follow."""
        raise RuleError(f"{name} welcomes a node of another cluster")

    def stands(self, name: str, deaf_ms: int) -> None:
        """Pre-vote: who hears nobody does not raise its epoch, or it would disturb."""
        if deaf_ms > PATIENCE_MS:
            raise RuleError(f"{name} stands, and has heard nobody for {deaf_ms} ms")

    def reigns(self, name: str, epoch: int, disk: Disk, *, transfer: bool) -> None:
        """Invariants 4 and 5: one master an epoch, and it has all that is committed."""
        if not transfer:
            self._sticky = max(self._sticky, epoch)
        other = self._reigns.setdefault(epoch, name)
        if other != name:
            raise RuleError(f"{name} and {other} both reign in epoch {epoch}")
        if self._weak:
            return
        # A process that was paused may still win an election that is long over.
        needed = bisect_left(self._committed_in, epoch)
        if disk.end < needed:
            raise RuleError(
                f"{name} reigns in epoch {epoch} with a log up to {disk.end}; "
                f"{needed} entries were committed before"
            )
        self._same(name, disk, needed)

    def commits(
        self, name: str, epoch: int, offset: int, voters: dict[str, Disk]
    ) -> None:
        """A master says that entries are committed: a majority must really hold them.

        In async mode as well: what replicas apply is what a majority holds. Where
        another quorum was configured, so many must.
        """
        needed = self._quorum or len(voters) // 2 + 1
        if self._weak:
            del self.committed[self._first_lost(name, offset) :]
        for at in range(len(self.committed) + 1, offset + 1):
            record = self._disks[name].holds(at)
            if record is None:
                raise RuleError(f"{name} commits {at}, which its log does not hold")
            holders = [voter for voter, one in voters.items() if _holds(one, record)]
            if len(holders) < needed:
                raise RuleError(
                    f"{name} commits entry {at}, which only {holders} of "
                    f"{sorted(voters)} hold durably"
                )
            if not self._weak:
                self._can_stay(name, record, holders, voters)
            self.committed.append(record)
            self._ever_committed.add(record)
            self._committed_in.append(epoch)
        last = self._disks[name].at(offset)
        if last is not None and last.epoch != epoch:
            raise RuleError(
                f"{name} commits entry {offset} of epoch {last.epoch} by counting, in "
                f"epoch {epoch}"
            )
        self._same(name, self._disks[name], offset)

    def _first_lost(self, name: str, offset: int) -> int:
        """How many committed entries this master has too; the others are lost."""
        disk = self._disks[name]
        for at, record in enumerate(self.committed[:offset], start=1):
            if disk.holds(at) != record:
                return at - 1
        return len(self.committed)

    def _can_stay(
        self, name: str, record: Record, holders: list[str], voters: dict[str, Disk]
    ) -> None:
        """No voter without the entry could be elected by the logs as they stand."""
        ends = {voter: _end(one) for voter, one in voters.items()}
        for voter in voters.keys() - set(holders):
            votes = sum(
                end <= ends[voter] and voters[other].is_sound
                for other, end in ends.items()
            )
            if votes > len(voters) // 2:
                raise RuleError(
                    f"{name} commits entry {record.offset} of epoch {record.epoch}; "
                    f"{voter} could be elected without it: the logs end at {ends}"
                )

    def applied(
        self, name: str, disk: Disk, records: Iterable[Record], *, reigns: bool
    ) -> None:
        """Invariants 1 and 2: durable first, each once, in order, and committed.

        Only a master in async mode is ahead of what is committed.
        """
        for at, record in enumerate(records, start=len(disk.rows) + 1):
            if record.offset != at:
                raise RuleError(
                    f"exactly once: {name} applies entry {record.offset} at {at}"
                )
            if at > disk.durable:
                raise RuleError(f"{name} applies {at}, durable only to {disk.durable}")
            if not (reigns or disk.chosen is None or record in disk.chosen):
                raise RuleError(
                    f"{name} applies entry {at}, which an operator's pause holds back"
                )
            if self._mode is Mode.ASYNC and reigns:
                continue
            if record not in self._ever_committed:
                raise RuleError(f"{name} applies entry {at}, which is not committed")

    def taken_back(
        self, name: str, disk: Disk, gone: Iterable[Record], others: Iterable[Disk]
    ) -> None:
        """Invariants 5 and 7: nothing committed goes, and all that goes is kept."""
        for record in gone:
            known = self.committed[record.offset - 1 : record.offset]
            if known == [record] and not self._weak:
                raise RuleError(f"{name} takes back entry {record.offset}: committed")
            if record.payload in disk.exported:
                continue
            if not any(one.at(record.offset) == record for one in others):
                raise RuleError(f"{name} throws entry {record.offset} away, unkept")

    def acknowledges(
        self, name: str, epoch: int, transaction_id: str, offset: Offset
    ) -> None:
        """One master of an epoch acknowledges; in sync mode only what is committed."""
        if epoch < self._sticky and self.clocks_run:
            raise RuleError(
                f"{name} acknowledges in epoch {epoch}: {self._reigns[self._sticky]} "
                f"reigns in epoch {self._sticky} by now"
            )
        if self._acknowledges.setdefault(epoch, name) != name:
            raise RuleError(f"two nodes acknowledge in epoch {epoch}")
        if self._mode is Mode.SYNC and not self._was_committed(name, offset):
            raise RuleError(f"{name} acknowledges {offset}: it is not committed")
        self._last_acknowledged = max(self._last_acknowledged, offset)
        before = self._acknowledged.setdefault(transaction_id, offset)
        if self._mode is Mode.SYNC and before != offset and not self._weak:
            raise RuleError(
                f"{transaction_id} is acknowledged at {offset} and at {before}"
            )

    def _was_committed(self, name: str, offset: Offset) -> bool:
        if not self._weak:
            return offset <= len(self.committed)
        return self._disks[name].holds(offset) in self._ever_committed

    def captures(self, name: str, applied: Offset, end: Offset) -> None:
        """Hard case 13: a client's statement runs on all that the log holds."""
        if applied != end:
            raise RuleError(f"{name} runs a client's statement at {applied} of {end}")

    def lease_holds(self, name: str, voters: int, loyal: int) -> None:
        """While a master acknowledges, no other could be elected behind its back.

        `loyal`: voters that would refuse their vote now, or are down.
        """
        if self.clocks_run and loyal <= voters // 2:
            raise RuleError(
                f"{name} acknowledges, and only {loyal} of {voters} voters are loyal"
            )

    def returns(self, name: str, home: str, objections: list[str]) -> None:
        """A replica leaves its stand-in for its own upstream, found well each time."""
        if any(objections):
            raise RuleError(f"{name} goes back to {home}, which {objections}")

    def asks(self, read_id: str) -> None:
        """A strong read begins: it must see all that was acknowledged by now."""
        self._read_least[read_id] = self._last_acknowledged

    def reads(self, name: str, read_id: str, offset: Offset) -> None:
        """A master lets it run at this offset."""
        least = self._read_least.pop(read_id)
        if self._mode is Mode.SYNC and offset < least and not self._weak:
            raise RuleError(
                f"{name} serves a strong read at {offset}; {least} was acknowledged "
                "before it began"
            )

    def refuses(self, transaction_id: str) -> None:
        """A client was told that nothing happened, by everybody whom it asked."""
        self._refused.add(transaction_id)

    def grows(self, name: str, disk: Disk) -> None:
        """Hard case 11: a witness's log has a cap, where a quorum holds writers up.

        Beyond it are what was on its way, and what passes although it is full.
        """
        most = self._hold + ON_ITS_WAY + PASSES * len(self._reigns)
        if self._hold and self._mode is Mode.SYNC and len(disk.log) > most:
            raise RuleError(f"{name} stores {len(disk.log)} entries of {self._hold}")

    def shortens(
        self, name: str, disk: Disk, floor: Offset, disk_of: Callable[[str], Disk]
    ) -> None:
        """Hard case 11: a witness drops nothing that a voter with a database lacks.

        The voters are those of the last configuration that is committed; what one of
        them held before its disk was lost, it held.
        """
        if self._weak:
            return
        voters = disk.formed[0].configuration
        for record in self.committed:
            voters = own_of(record.payload)[1] or voters
        for at in range(disk.first, floor):
            record = self.committed[at - 1]
            for voter in voters.voter_ids:
                if not (voter.startswith("w") or _holds(disk_of(voter), record)):
                    raise RuleError(f"{name} drops entry {at}, which {voter} lacks")

    # --- In the end ------------------------------------------------------------------

    def at_the_end(self, disks: dict[str, Disk]) -> None:
        """After healing: everybody has the same, and every acknowledged write once."""
        name, disk = max(disks.items(), key=lambda item: item[1].applied)
        for other, one in disks.items():
            if one.rows != disk.rows:
                raise RuleError(
                    f"no convergence: {other} has applied {one.applied} entries, "
                    f"{name} {disk.applied}, and they are not the same"
                )
        ids = _ids_of(disk.rows)
        if self._weak:
            return
        if disk.rows[: len(self.committed)] != self.committed:
            raise RuleError("what was committed is not what the databases hold")
        if self._mode is Mode.SYNC:
            self._as_clients_were_told(ids)

    def _as_clients_were_told(self, ids: dict[str, int]) -> None:
        for transaction_id, offset in self._acknowledged.items():
            if ids.get(transaction_id) != offset:
                raise RuleError(f"lost: acknowledged {transaction_id} at {offset}")
        if refused := self._refused & ids.keys():
            raise RuleError(f"refused, and there all the same: {sorted(refused)}")

    def _same(self, name: str, disk: Disk, up_to: int) -> None:
        if self._weak:
            return
        for at in range(max(disk.first, disk.checked + 1), up_to + 1):
            if disk.at(at) != self.committed[at - 1]:
                raise RuleError(f"{name} holds another entry {at} than was committed")
            disk.checked = at


def _ids_of(rows: Iterable[Record]) -> dict[str, int]:
    ids: dict[str, int] = {}
    for record in rows:
        transaction_id = record.decoded().transaction_id
        if transaction_id in ids:
            raise RuleError(f"exactly once: {transaction_id} is there twice")
        if transaction_id:
            ids[transaction_id] = record.offset
    return ids


def _end(disk: Disk) -> tuple[int, int]:
    """What its vote goes by."""
    record = disk.at(disk.durable)
    epoch = disk.base.epoch if record is None else record.epoch
    return epoch, disk.durable


def _holds(disk: Disk, record: Record) -> bool:
    offset = record.offset
    if offset < disk.first:  # the log was shortened: the rows, or a snapshot, have it
        return True
    return record in disk.lost or (offset <= disk.durable and disk.at(offset) == record)
