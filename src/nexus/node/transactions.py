"""The TransactionManager: what clients ask of the one writer (see `turns`).

All transactions that wait form one batch: each is captured under its own savepoint,
the batch's entries are appended to the log and synced once, then SQLite commits,
then every client of the batch is answered. No answer leaves before its whole batch
is decided, because any of them may rest on a row that another one wrote.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from nexus.errors import NexusError, WritesStoppedError
from nexus.model.operation import Fingerprint, Own, Reigned
from nexus.model.position import Offset, Reign
from nexus.node.writing.batch import Hooks
from nexus.node.writing.interactive import InteractiveTransaction
from nexus.node.writing.jobs import Job
from nexus.node.writing.turns import WriterTurns, short_of_space
from nexus.node.writing.work import Answer, Errand, Interactive, Transaction
from nexus.node.writing.writer import BatchWriter
from nexus.storage.database import Database
from nexus.storage.wal import WriteAheadLog

MAX_WAITING_JOBS: Final = 16_384
"""Beyond this many waiting transactions a client is refused at once."""


class TransactionManager:
    """Owns the database's writer connection while this node takes writes."""

    def __init__(
        self, database: Database, log: WriteAheadLog, hooks: Hooks, *, limit_bytes: int
    ) -> None:
        self._database = database
        self._hooks = hooks
        self._writer = BatchWriter(database, log, hooks, limit_bytes=limit_bytes)
        self._turns = WriterTurns(database, self._writer, hooks)
        self._gathering: dict[asyncio.AbstractEventLoop, list[Job]] = {}
        """Of each loop: what its tasks have asked for since its last turn."""
        self._refusal: Callable[[], NexusError | None] | None = None
        """Of what takes an offset, for now; other errands pass it."""

    def start(self, reign: Reign, *, mode: str) -> None:
        """Begin `reign`: its first entry is durable and applied on return.

        In sync mode the writer waits for the quorum behind the caller's back: entries
        of clients follow once the first one is committed.
        """
        self._writer.reign = reign
        self._database.set_mode_capturing()
        first = (Reigned(reign),)
        opening = Job(
            Errand(run=lambda: self._writer.write_operations(first, mode=mode))
        )
        self._turns.start()
        self._turns.put(opening)
        if self._hooks.commitment is None:
            opening.wait()

    def go_on(self, reign: Reign) -> None:
        """Begin to take transactions in a reign whose first entry is applied."""
        self._writer.reign = reign
        self._database.set_mode_capturing()
        self._turns.start()

    def stop(self) -> None:
        """Answer the running batch, refuse what comes, end the thread; blocks.

        An open interactive transaction has STOP_GRACE_S to end, then it is taken back.
        """
        self._turns.stop()

    @property
    def has_ended(self) -> bool:
        """Whether it takes nothing more: what the log holds may be taken back."""
        return self._turns.end is not None

    def refuse_writes(self, refusal: Callable[[], NexusError | None] | None) -> None:
        """Refuse what takes an offset with this error from now on; None: take it.

        It is asked for each one, in whatever thread; where it says None, one is taken.
        """
        self._refusal = refusal

    async def execute(self, transaction: Transaction) -> Answer:
        """Run one transaction; on return it is durable and committed.

        Raises TransactionError when nothing happened, OutcomeUnknownError when it
        stands in the log but could not be committed here.
        """
        job = self._submit(transaction, asyncio.get_running_loop())
        answer: Answer = await job.waiter
        return answer

    def submit(
        self,
        transaction: Transaction,
        loop: asyncio.AbstractEventLoop,
        settled: Callable[[Job], None],
    ) -> Job:
        """As `execute`, for who has no task: `settled` is called on the loop.

        What one turn of the loop submits is put as one batch.
        """
        return self._submit(transaction, loop, settled)

    def execute_blocking(self, transaction: Transaction) -> Answer:
        """As `execute`, for a client in a thread of its own."""
        answer: Answer = self._submit(transaction, None).wait()
        return answer

    async def begin(self, wanted: Interactive) -> InteractiveTransaction:
        """Wait for the writer and hold it for a transaction of several statements.

        Who is cancelled while it waits gives its turn back.
        """
        job = self._submit(wanted, asyncio.get_running_loop())
        try:
            transaction: InteractiveTransaction = await asyncio.shield(job.waiter)
        except asyncio.CancelledError:
            job.waiter.add_done_callback(_give_up)
            raise
        return transaction

    def begin_blocking(self, wanted: Interactive) -> InteractiveTransaction:
        """As `begin`, for a client in a thread of its own."""
        transaction: InteractiveTransaction = self._submit(wanted, None).wait()
        return transaction

    async def run(self, errand: Callable[[], Any]) -> Any:
        """Call `errand` on the writer thread, between two batches; it logs nothing."""
        return await self._submit(Errand(errand), asyncio.get_running_loop()).waiter

    def run_blocking(self, errand: Callable[[], Any]) -> Any:
        """As `run`, for a client in a thread of its own."""
        return self._submit(Errand(errand), None).wait()

    async def write(
        self,
        operation: Own | Fingerprint,
        before: Callable[[], None] = lambda: None,
        undone: Callable[[], None] = lambda: None,
    ) -> Offset:
        """Log an entry of Nexus's own, and commit it; returns its offset.

        `before` is called on the writer thread, when the next offset is this entry's,
        and `undone` where the log has not taken it.
        """

        def run() -> Offset:
            before()
            try:
                return self._writer.write_operations((operation,))
            except NexusError:
                if self._writer.stands:
                    undone()
                raise

        job = self._submit(Errand(run, logs=True), asyncio.get_running_loop())
        offset: Offset = await job.waiter
        return offset

    @property
    def lacks_space(self) -> bool:
        """Whether SQLite lacks the space to commit what the log holds."""
        return self._turns.shortage is not None

    def _submit(
        self,
        work: Transaction | Interactive | Errand,
        loop: asyncio.AbstractEventLoop | None,
        settled: Callable[[Job], None] | None = None,
    ) -> Job:
        self._database.require_own_process()
        turns = self._turns
        if turns.end is not None:
            raise turns.end()
        if self._refusal is not None and _takes_offset(work):
            refusal = self._refusal()
            if refusal is not None:
                raise refusal
        if turns.shortage is not None:
            raise short_of_space(turns.shortage)
        gathered = () if loop is None else self._gathering.get(loop, ())
        if turns.waiting + len(gathered) >= MAX_WAITING_JOBS:
            raise WritesStoppedError(
                f"{MAX_WAITING_JOBS} transactions are waiting already; try again later"
            )
        job = Job(work, loop, settled)
        if loop is not None:
            self._gather(job, loop)
        elif not (job.shares and turns.run_here(job)):
            turns.put(job)
        return job

    def _gather(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """Put what the tasks of one turn of the loop want as one batch.

        The first of them alone would wake the writer, which then takes the interpreter
        from the others: two threads that are in each other's way.
        """
        gathered = self._gathering.get(loop)
        if gathered is None:
            self._forget_closed_loops()
            gathered = self._gathering[loop] = []
            loop.call_soon(self._put_gathered, loop)
        gathered.append(job)

    def _put_gathered(self, loop: asyncio.AbstractEventLoop) -> None:
        for job in self._gathering.pop(loop):
            self._turns.put(job)

    def _forget_closed_loops(self) -> None:
        """A loop that was closed before its next turn has nobody who waits."""
        for loop in tuple(self._gathering):
            if loop.is_closed():
                self._gathering.pop(loop, None)


def _takes_offset(work: Transaction | Interactive | Errand) -> bool:
    return not isinstance(work, Errand) or work.logs


def _give_up(begun: asyncio.Future[InteractiveTransaction]) -> None:
    if not begun.cancelled() and begun.exception() is None:
        begun.result().give_up()
