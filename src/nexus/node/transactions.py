"""The TransactionManager: one writer thread that turns waiting transactions to entries.

All transactions that wait form one batch: each is captured under its own savepoint,
the batch's entries are appended to the log and synced once, then SQLite commits,
then every client of the batch is answered. No answer leaves before its whole batch
is decided, because any of them may rest on a row that another one wrote.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Final

import structlog

from nexus.errors import (
    DiskFullError,
    NexusError,
    NodeStoppedError,
    WritesStoppedError,
)
from nexus.model.operation import Operation, Reigned
from nexus.model.position import Offset, Reign
from nexus.node.commitment import ReignEndedError
from nexus.node.interactive import InteractiveTransaction, serve_interactive
from nexus.node.jobs import Answer, Errand, Interactive, Job, Transaction, deliver
from nexus.node.writer import BatchWriter, Hooks
from nexus.storage.database import Database
from nexus.storage.wal import WriteAheadLog

MAX_BATCH_JOBS: Final = 512
"""Transactions in one batch: bounds the wait of the first for the last."""

MAX_WAITING_JOBS: Final = 16_384
"""Beyond this many waiting transactions a client is refused at once."""

SPACE_RETRY_S: Final = 1.0
"""How often a writer whose disk is full looks whether there is space again."""

STOP_GRACE_S: Final = 1.0
"""What a stop leaves an open interactive transaction to end by itself."""

log = structlog.get_logger(__name__)

_STOP: Final = Errand(run=lambda: None)


class TransactionManager:
    """Owns the database's writer connection while this node takes writes."""

    def __init__(
        self, database: Database, log: WriteAheadLog, hooks: Hooks, *, limit_bytes: int
    ) -> None:
        self._database = database
        self._hooks = hooks
        self._writer = BatchWriter(database, log, hooks, limit_bytes=limit_bytes)
        self._queue: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._run, name="nexus-writer", daemon=True
        )
        self._refusal: Callable[[], NexusError] | None = None
        """Of transactions, for now; errands pass it."""
        self._end: Callable[[], NexusError] | None = None
        """Of all that comes, for good."""
        self._is_over = False
        """Whether the thread takes nothing more."""
        self._shortage: DiskFullError | None = None
        self._open: InteractiveTransaction | None = None

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
        self._thread.start()
        self._queue.put(opening)
        if self._hooks.commitment is None:
            opening.wait()

    def go_on(self, reign: Reign) -> None:
        """Begin to take transactions in a reign whose first entry is applied."""
        self._writer.reign = reign
        self._database.set_mode_capturing()
        self._thread.start()

    def stop(self) -> None:
        """Answer the running batch, refuse what comes, end the thread; blocks.

        An open interactive transaction has STOP_GRACE_S to end, then it is taken back.
        """
        self._end = self._end or _stopping
        if (transaction := self._open) is not None:
            transaction.end_within(STOP_GRACE_S)
        self._queue.put(Job(_STOP))
        if self._thread.is_alive():
            self._thread.join()
        self._take_no_more()

    def refuse_writes(self, refusal: Callable[[], NexusError] | None) -> None:
        """Refuse new transactions with this error from now on; None: take them."""
        self._refusal = refusal

    async def execute(self, transaction: Transaction) -> Answer:
        """Run one transaction; on return it is durable and committed.

        Raises TransactionError when nothing happened, OutcomeUnknownError when it
        stands in the log but could not be committed here.
        """
        job = self._submit(transaction, asyncio.get_running_loop())
        assert job.waiter is not None, "a job of an event loop has a waiter"
        answer: Answer = await job.waiter
        return answer

    def execute_blocking(self, transaction: Transaction) -> Answer:
        """As `execute`, for a client in a thread of its own."""
        answer: Answer = self._submit(transaction, None).wait()
        return answer

    def begin(
        self,
        *,
        idle_limit_s: float,
        foreign_keys: bool = True,
        transaction_id: str = "",
    ) -> InteractiveTransaction:
        """Wait for the writer and hold it for a transaction of several statements.

        Whoever leaves it idle for longer than the limit loses it, rolled back.
        """
        job = self._submit(
            Interactive(
                foreign_keys=foreign_keys,
                transaction_id=transaction_id,
                idle_limit_s=idle_limit_s,
            ),
            None,
        )
        transaction: InteractiveTransaction = job.wait()
        return transaction

    async def run(self, errand: Callable[[], Any]) -> Any:
        """Call `errand` on the writer thread, between two batches."""
        job = self._submit(Errand(run=errand), asyncio.get_running_loop(), errand=True)
        assert job.waiter is not None, "a job of an event loop has a waiter"
        return await job.waiter

    async def write(
        self, operation: Operation, before: Callable[[], None] = lambda: None
    ) -> Offset:
        """Log an entry of Nexus's own, and commit it; returns its offset.

        `before` is called on the writer thread, when the next offset is this entry's.
        """

        def run() -> Offset:
            before()
            return self._writer.write_operations((operation,))

        job = self._submit(Errand(run=run), asyncio.get_running_loop())
        assert job.waiter is not None, "a job of an event loop has a waiter"
        offset: Offset = await job.waiter
        return offset

    def _submit(
        self,
        work: Transaction | Interactive | Errand,
        loop: asyncio.AbstractEventLoop | None,
        *,
        errand: bool = False,
    ) -> Job:
        self._database.require_own_process()
        if self._end is not None:
            raise self._end()
        if self._refusal is not None and not errand:
            raise self._refusal()
        if self._shortage is not None:
            raise _short_of_space(self._shortage)
        if self._queue.qsize() >= MAX_WAITING_JOBS:
            raise WritesStoppedError(
                f"{MAX_WAITING_JOBS} transactions are waiting already; try again later"
            )
        job = Job(work, loop)
        self._queue.put(job)
        if self._is_over:  # since it was asked above
            self._refuse_waiting()
        return job

    def _run(self) -> None:
        """The writer thread: take what waits, until told to stop."""
        try:
            self._serve()
        except ReignEndedError:
            self._take_no_more()
        except BaseException as error:  # noqa: BLE001 - it must reach the node
            self._fail(error)
        else:
            self._take_no_more()

    def _serve(self) -> None:
        carried: Job | None = None
        while True:
            first = carried or self._queue.get()
            carried = None
            if first.work is _STOP:
                return
            try:
                if isinstance(first.work, Transaction) and first.work.foreign_keys:
                    carried = self._run_shared(first)
                else:
                    self._run_alone(first)
            except DiskFullError as error:
                if not self._writer.can_recover:
                    raise
                self._shortage = error
                carried = self._wait_for_space(carried)

    def _run_shared(self, first: Job) -> Job | None:
        """Gather what waits behind `first` and run it as one batch.

        Returns the job that ended the gathering, if it cannot share a batch.
        """
        jobs = [first]
        carried = None
        while len(jobs) < MAX_BATCH_JOBS:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if not isinstance(job.work, Transaction) or not job.work.foreign_keys:
                carried = job
                break
            jobs.append(job)
        try:
            while jobs:
                jobs = self._writer.run_batch(jobs)
        except BaseException:
            if carried is not None:
                self._queue.put(carried)  # to be refused with all that waits
            raise
        return carried

    def _run_alone(self, job: Job) -> None:
        """Run what shares its SQLite transaction with nobody."""
        work = job.work
        if isinstance(work, Errand):
            self._run_errand(job, work)
            return
        if not work.foreign_keys:
            self._database.set_foreign_keys(enabled=False)
        try:
            if isinstance(work, Interactive):
                self._run_interactive(job, work)
            else:
                self._writer.run_batch([job])
        finally:
            self._database.set_foreign_keys(enabled=True)

    def _run_interactive(self, job: Job, work: Interactive) -> None:
        self._open = transaction = InteractiveTransaction(work.idle_limit_s)
        try:
            if self._end is not None:  # asked after it can be seen by `stop`
                transaction.end_within(0.0)
            serve_interactive(job, work, transaction, self._writer)
        finally:
            self._open = None

    def _wait_for_space(self, carried: Job | None) -> Job | None:
        """The log holds more than SQLite had space for: catch up as soon as it can.

        Refuses what comes meanwhile, all of it not begun. Returns the job to go on
        with: the one that ends this thread, if it came.
        """
        assert self._shortage is not None, "called for want of space"
        log.error("disk_full", reason=str(self._shortage))
        job = carried
        while True:
            if job is not None:
                if job.work is _STOP:
                    return job
                job.error = _short_of_space(self._shortage)
                deliver([job])
            try:
                self._writer.recover()
            except DiskFullError:
                job = self._next_within(SPACE_RETRY_S)
            else:
                self._shortage = None
                log.info("disk_has_space")
                return None

    def _next_within(self, limit_s: float) -> Job | None:
        try:
            return self._queue.get(timeout=limit_s)
        except queue.Empty:
            return None

    def _run_errand(self, job: Job, errand: Errand) -> None:
        try:
            job.result = errand.run()
        except ReignEndedError as error:
            job.error = NodeStoppedError(f"nothing was done: {error}")
            raise
        except BaseException as error:
            job.error = error
            if not (isinstance(error, NexusError) and self._writer.stands):
                raise
        finally:
            deliver([job])

    def _fail(self, error: BaseException) -> None:
        """The writer cannot go on: refuse everything and tell the node."""
        self._end = lambda: WritesStoppedError(f"this node takes no writes: {error}")
        with contextlib.suppress(Exception):  # the first error is the one told
            self._writer.abandon()
        self._take_no_more()
        self._hooks.failed(error)

    def _take_no_more(self) -> None:
        """The thread has ended: whoever comes now is refused, by himself if need be."""
        self._end = self._end or _stopping
        self._is_over = True
        self._refuse_waiting()

    def _refuse_waiting(self) -> None:
        """Refuse all that waits; nothing of it was begun."""
        refused = []
        while True:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            job.error = (self._end or _stopping)()
            refused.append(job)
        deliver(refused)


def _short_of_space(error: DiskFullError) -> DiskFullError:
    return DiskFullError(
        f"nothing was written, this node waits for space on its disk: {error}"
    )


def _stopping() -> NexusError:
    return NodeStoppedError("this node is stopping; retry on another node, or later")
