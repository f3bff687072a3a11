"""A simulated writer thread: batches, log, sync, quorum, commit, answers.

As node/transactions does it: nothing of a batch is answered before all of it is
decided, and whether the reign still stands is asked at the moment of each answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nexus.model.cluster import Mode
from nexus.model.entry import Record
from nexus.model.operation import Configuration, Operation, Rows
from nexus.model.position import NO_OFFSET, Offset

if TYPE_CHECKING:
    from sim.node import Process

COMMITTED, REFUSED, UNKNOWN = "committed", "refused", "unknown"

Answer = Callable[[str, int], None]


@dataclass(slots=True)
class Job:
    """One transaction: set `key` to `value`."""

    transaction_id: str
    key: str
    value: str
    answers: list[Answer]
    offset: Offset = NO_OFFSET


class Writer:
    """One batch at a time; the next one gathers meanwhile."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self.open = False
        """Whether clients' transactions are taken."""
        self.held = False
        self.turned_away = 0
        """Transactions that would have waited for a node that has no room."""
        self.short = False
        """The log holds more than the database has room for."""
        self._waiting: list[Job] = []
        self._batch: list[Job] = []
        self._end = Offset(0)
        """Of the batch in the log; 0: there is none."""
        self._syncing = False
        self._then: Callable[[], None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is between the log and its decision."""
        return not (self._syncing or self._end)

    def submit(self, job: Job) -> None:
        """A client's transaction."""
        if not self.open or self._is_short() or self._finds_no_room():
            for answer in job.answers:
                answer(REFUSED, 0)
            return
        for other in self._batch + self._waiting:
            if other.transaction_id == job.transaction_id:
                other.answers += job.answers
                return
        self._waiting.append(job)
        self.look()

    def _is_short(self) -> bool:
        """Whether a write would wait for a node that has no room for it."""
        member, now_ms = self._process.member, self._process.now()
        master = member.master
        if master is None:
            return True
        if member.mode is not Mode.SYNC or not any(
            replica.full or replica.no_space for replica in master.replicas(now_ms)
        ):
            return False
        short = master.nodes_in_reach(now_ms) < master.needed
        self.turned_away += short
        return short

    def _finds_no_room(self) -> bool:
        """Whether the log has none for it: what is small may still fit in."""
        process = self._process
        return self.short or (
            process.disk.crowded and process.world.chance.random() < 0.8
        )

    def append_own(self, operations: list[Operation]) -> None:
        """An entry of the node's own, in a batch by itself."""
        process = self._process
        offset = Offset(process.disk.end + 1)
        for operation in operations:
            if isinstance(operation, Configuration):
                changed = process.member.configured(offset, operation, process.now())
                process.take(changed)
        self._append([process.payload(operations)])

    def look(self) -> None:
        """Whether the batch is decided, and another one can begin."""
        if self._end and not self._syncing:
            self._decide()
        if not self.is_idle:
            return
        if self.short and not self._process.disk.crowded:
            self.short = False
            self._process.apply_through(self._process.disk.end)
        if self.held:
            self.held = False
            end = self._process.disk.end
            held = self._process.member.writes_held(end, self._process.now())
            self._process.take(held)
        elif self.open and self._waiting and not self.short:
            self._begin()

    def hold(self) -> None:
        """Begin no more."""
        self.open, self.held = False, True
        self._refuse_waiting()

    def close(self, _reason: str) -> None:
        """The reign is over: the batch at hand stays undecided."""
        self.open = self.held = self.short = False
        self._refuse_waiting()
        for job in self._batch:
            self._answer(job, UNKNOWN, 0)
        self._batch, self._end = [], Offset(0)

    def when_idle(self, call: Callable[[], None]) -> None:
        """Call it once nothing is being written."""
        if self._syncing:
            self._then = call
        else:
            call()

    def _begin(self) -> None:
        process = self._process
        disk = process.disk
        process.world.checkers.captures(process.name, disk.applied, disk.end)
        self._batch, self._waiting = self._waiting, []
        payloads: list[bytes] = []
        for job in self._batch:
            known = process.world.known_id(process.name, job.transaction_id)
            if known is not None:
                job.offset = known
                continue
            job.offset = Offset(process.disk.end + 1 + len(payloads))
            rows = Rows(f"{job.key}={job.value}".encode())
            payload = process.payload([rows], job.transaction_id)
            process.world.means(payload, job.key, job.value)
            payloads.append(payload)
        if payloads:
            self._append(payloads)
        else:
            self._end = process.disk.end
            self._decide()

    def _append(self, payloads: list[bytes]) -> None:
        process = self._process
        epoch, start = process.member.epoch, process.disk.end + 1
        records = [
            Record(epoch, Offset(start + index), payload)
            for index, payload in enumerate(payloads)
        ]
        history = process.member.history
        process.world.checkers.appended(process.name, process.disk, records, history)
        process.disk.append(records)
        self._end = process.disk.end
        self._syncing = True
        process.take(process.member.written(self._end, process.now()))
        process.world.later(process, process.world.disk_ms(process.name), self._synced)

    def _synced(self) -> None:
        process = self._process
        if process.disk.full:
            process.world.crash(process.name)
            return
        self._syncing = False
        process.disk.sync()
        if self._then is not None:
            then, self._then = self._then, None
            then()
        else:
            process.take(process.member.stored(process.disk.end, process.now()))

    def _decide(self) -> None:
        """Commit in SQLite and answer, once the mode's quorum holds the batch."""
        process, master = self._process, self._process.member.master
        if master is None:
            return
        sync = process.world.plan.mode is Mode.SYNC
        if sync and master.commit_offset < self._end:
            return
        batch, end = self._batch, self._end
        self._batch, self._end = [], Offset(0)
        if master.takes_writes:
            if process.disk.crowded and process.world.chance.random() < 0.3:
                self.short = True
                for job in batch:
                    self._answer(job, UNKNOWN, 0)
                return
            process.apply_through(end)
        may = process.member.may_acknowledge(process.now())
        if may and batch:
            self._check_lease()
        for job in batch:
            self._answer(job, COMMITTED if may else UNKNOWN, job.offset)
        self.look()

    def _check_lease(self) -> None:
        process = self._process
        world, voters = process.world, process.member.voters
        loyal = sum(
            (one := world.of_id(voter)) is None or one.member.elector._sticks(one.now())
            for voter in voters
        )
        world.checkers.lease_holds(process.name, len(voters), loyal)

    def _answer(self, job: Job, outcome: str, offset: int) -> None:
        process = self._process
        if outcome is COMMITTED:
            epoch = process.member.epoch
            process.world.checkers.acknowledges(
                process.name, epoch, job.transaction_id, Offset(offset)
            )
        for answer in job.answers:
            answer(outcome, offset)

    def _refuse_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for job in waiting:
            self._answer(job, REFUSED, 0)
