"""Whose turn it is at the writer: its own thread's, or that of a client's thread.

The writer thread takes what waits, one batch after another. A client in a thread of its
own that finds the writer at rest runs its transaction itself: to hand it over, and the
answer back, costs as much as SQLite's commit. Whoever writes holds the turn.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Final

from nexus.errors import (
    DiskFullError,
    NexusError,
    NodeStoppedError,
    QuorumLostError,
    WritesStoppedError,
)
from nexus.node.slices import take_short_slices
from nexus.node.telemetry.shortage import SPACE_RETRY_S
from nexus.node.writing.batch import Hooks
from nexus.node.writing.commitdelay import CommitDelay
from nexus.node.writing.commitment import ReignEndedError
from nexus.node.writing.interactive import InteractiveTransaction, serve_interactive
from nexus.node.writing.jobs import Job, deliver
from nexus.node.writing.work import Errand, Interactive
from nexus.node.writing.writer import BatchWriter
from nexus.storage.database import Database

MAX_BATCH_JOBS: Final = 512
"""Transactions in one batch: bounds the wait of the first for the last."""

STOP_GRACE_S: Final = 1.0
"""What a stop leaves an open interactive transaction to end by itself."""

_STOP: Final = Errand(run=lambda: None)
_NOTHING: Final = Errand(run=lambda: None)


class WriterTurns:
    """Runs jobs one after another, until it is stopped or fails."""

    def __init__(self, database: Database, writer: BatchWriter, hooks: Hooks) -> None:
        self.end: Callable[[], NexusError] | None = None
        """The error of all that comes, once it takes nothing more."""
        self.shortage: DiskFullError | None = None
        """While SQLite lacks the space to commit what the log holds."""
        self._database = database
        self._writer = writer
        self._hooks = hooks
        self._queue: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._turn = threading.Lock()
        self._runner = threading.Thread(
            target=copy_context().run,
            args=(self._run,),
            name="nexus-writer",
            daemon=True,
        )
        self._is_over = False
        self._open: InteractiveTransaction | None = None
        self._commit_delay = CommitDelay()
        writer.while_late = self._refuse_late

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return self._queue.qsize()

    def start(self) -> None:
        """Begin to take jobs."""
        self._runner.start()

    def put(self, job: Job) -> None:
        """Have the writer thread run it, or answer it that this has ended."""
        self._queue.put(job)
        if self._is_over:
            self._refuse_waiting()

    def run_here(self, job: Job) -> bool:
        """Run a shared transaction on this thread if the writer is at rest.

        False if not: `put` it. Never on the main thread, where the exception of a
        signal can break in anywhere; nor in sync mode, where a batch may go on waiting
        after its clients were told that the outcome is unknown.
        """
        if (
            self._hooks.commitment is not None
            or threading.current_thread() is threading.main_thread()
            or not self._turn.acquire(blocking=False)
        ):
            return False
        try:
            if self.end or self.shortage or self._writer.reign is None or self.waiting:
                return False
            self._lead(job)
        finally:
            self._turn.release()
        return True

    def stop(self) -> None:
        """Answer the running batch, refuse what comes, end the thread; blocks.

        An open interactive transaction has STOP_GRACE_S to end, then it is taken back.
        """
        self.end = self.end or _stopping
        if (transaction := self._open) is not None:
            transaction.end_within(STOP_GRACE_S)
        self._queue.put(Job(_STOP))
        if self._runner.is_alive():
            self._runner.join()
        self._take_no_more()

    def _lead(self, job: Job) -> None:
        """Run one batch; what goes wrong is the writer thread's to mend or to end."""
        try:
            self._run_batches([job])
        except DiskFullError as shortage:
            if self._writer.can_recover:
                self.shortage = shortage
                self._queue.put(Job(_NOTHING))
            else:
                self._end_for(shortage)
        except BaseException as error:  # noqa: BLE001 - it must reach the node
            self._end_for(error)

    def _end_for(self, error: BaseException) -> None:
        self._fail(error)
        self._queue.put(Job(_STOP))

    def _run(self) -> None:
        """The writer thread: take what waits, until told to stop."""
        take_short_slices()
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
            job = carried or self._queue.get()
            with self._turn:
                if job.work is _STOP:
                    return
                carried = job if self.shortage else self._take(job)
                if self.shortage is not None:
                    carried = self._wait_for_space(self.shortage, carried)

    def _take(self, job: Job) -> Job | None:
        """Run a job, and what can share its batch; returns one that cannot."""
        try:
            if job.shares:
                return self._run_shared(job)
            self._run_alone(job)
        except DiskFullError as error:
            if not self._writer.can_recover:
                raise
            self.shortage = error
        return None

    def _run_shared(self, first: Job) -> Job | None:
        """Gather what waits behind `first` and run it as one batch.

        Returns the job that ended the gathering, if it cannot share a batch.
        """
        if self._hooks.commitment is not None and self.end is None:
            self._commit_delay.gather(lambda: 1 + self.waiting)
        jobs = [first]
        carried = None
        while len(jobs) < MAX_BATCH_JOBS:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if not job.shares:
                carried = job
                break
            jobs.append(job)
        begun, size = time.monotonic(), len(jobs)
        try:
            self._run_batches(jobs)
        except BaseException:
            if carried is not None:
                self._queue.put(carried)  # to be refused with all that waits
            raise
        self._commit_delay.expect(
            min(size + self.waiting, MAX_BATCH_JOBS), time.monotonic() - begun
        )
        return carried

    def _run_batches(self, jobs: list[Job]) -> None:
        while jobs:
            jobs = self._writer.run_batch(jobs)

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
            if self.end is not None:  # asked after it can be seen by `stop`
                transaction.end_within(0.0)
            serve_interactive(job, work, transaction, self._writer)
        finally:
            self._open = None

    def _run_errand(self, job: Job, errand: Errand) -> None:
        try:
            job.result = errand.run()
        except ReignEndedError as end:
            job.error = NodeStoppedError(f"nothing was done: {end}")
            raise
        except BaseException as error:
            job.error = error
            if not (isinstance(error, NexusError) and self._writer.stands):
                raise
        finally:
            deliver([job])

    def _wait_for_space(self, shortage: DiskFullError, job: Job | None) -> Job | None:
        """The log holds more than SQLite had space for: catch up as soon as it can.

        Refuses what comes meanwhile, all of it not begun. Returns the job to go on
        with: the one that ends this thread, if it came.
        """
        self._hooks.space.begins(shortage)
        while True:
            if job is not None:
                if job.work is _STOP:
                    return job
                job.error = short_of_space(shortage)
                deliver([job])
            try:
                self._writer.recover()
            except DiskFullError:
                job = self._next_within(SPACE_RETRY_S)
            else:
                self.shortage = None
                self._hooks.space.ends()
                return None

    def _refuse_late(self) -> None:
        """A batch waits for its quorum: whose turn has not come is told to come again.

        What the node itself wants done goes on waiting.
        """
        waiting = [self._queue.get_nowait() for _ in range(self.waiting)]
        refused = [job for job in waiting if not isinstance(job.work, Errand)]
        for job in waiting:
            if isinstance(job.work, Errand):
                self._queue.put(job)
        for job in refused:
            job.error = QuorumLostError(
                "nothing happened: no quorum has confirmed the writes before this one "
                "within the time allowed; try again when replicas have returned"
            )
        deliver(refused)

    def _next_within(self, limit_s: float) -> Job | None:
        try:
            return self._queue.get(timeout=limit_s)
        except queue.Empty:
            return None

    def _fail(self, error: BaseException) -> None:
        """The writer cannot go on: refuse everything and tell the node."""
        why = str(error) or type(error).__name__  # a MemoryError says nothing
        self.end = lambda: WritesStoppedError(f"this node takes no writes: {why}")
        with contextlib.suppress(Exception):  # the first error is the one told
            self._writer.abandon()
        self._take_no_more()
        self._hooks.failed(error)

    def _take_no_more(self) -> None:
        """The thread has ended: whoever comes now is refused, by himself if need be."""
        self.end = self.end or _stopping
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
            job.error = (self.end or _stopping)()
            refused.append(job)
        deliver(refused)


def short_of_space(error: DiskFullError) -> DiskFullError:
    """What a client is told while the disk is full."""
    return DiskFullError(
        f"nothing was written, this node waits for space on its disk: {error}"
    )


def _stopping() -> NexusError:
    return NodeStoppedError("this node is stopping; retry on another node, or later")
