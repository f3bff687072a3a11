"""A transaction of several statements that holds the writer between them.

It is a SQLite transaction of its own: begun after the batch before it has committed,
joined by nobody, and ended at the idle limit if its client falls silent.
"""

import asyncio
import math
import queue
import time
from enum import Enum, auto
from typing import Any

from nexus.errors import (
    DatabaseBusyError,
    NexusError,
    NodeStoppedError,
    TransactionError,
    TransactionExpiredError,
)
from nexus.node.writing.batch import nothing_happened
from nexus.node.writing.jobs import Job, deliver
from nexus.node.writing.work import Answer, Interactive
from nexus.node.writing.writer import BatchWriter
from nexus.storage.capturing.results import Statement, StatementResult


class _Signal(Enum):
    """What the client asks beside statements."""

    COMMIT = auto()
    ROLLBACK = auto()
    HURRY = auto()
    """The writer looks at its clock again."""


class InteractiveTransaction:
    """The client's end; used from one thread or task at a time."""

    def __init__(self, idle_limit_s: float) -> None:
        self.idle_limit_s = idle_limit_s
        self.ended = False
        self._given_up = False
        self.running: Job | None = None
        """What the writer does of it just now."""
        self._end: NexusError | None = None
        self._deadline_s: float | None = None
        self._calls: queue.SimpleQueue[Job] = queue.SimpleQueue()

    @property
    def end_error(self) -> NexusError:
        """What whoever comes after its end is told."""
        return self._end or TransactionExpiredError(
            "this transaction has ended; begin a new one"
        )

    def execute(self, statement: Statement) -> StatementResult:
        """Run one statement; an error leaves the transaction open, as SQLite does."""
        result: StatementResult = self._call(statement)
        return result

    def commit(self) -> Answer:
        """Log and commit; durable on return."""
        answer: Answer = self._call(_Signal.COMMIT)
        return answer

    def rollback(self) -> None:
        """Take everything back; harmless when the transaction has ended already."""
        if not self.ended:
            self._call(_Signal.ROLLBACK)

    async def ask(self, statement: Statement) -> StatementResult:
        """As `execute`, for a client in an event loop."""
        result: StatementResult = await self._ask(statement)
        return result

    async def ask_commit(self) -> Answer:
        """As `commit`, for a client in an event loop."""
        answer: Answer = await self._ask(_Signal.COMMIT)
        return answer

    def give_up(self) -> None:
        """As `rollback`, without waiting for it; from any thread."""
        self._given_up = True  # before `running` is read: `begins` does it after
        self.interrupt()
        if not self.ended:
            self._calls.put(Job(_Signal.ROLLBACK))
            self._answer_if_late()

    def begins(self, job: Job) -> None:
        """The writer's end: from now on this is what `interrupt` ends."""
        self.running = job
        job.cancelled = self._given_up

    def interrupt(self) -> None:
        """End the statement that runs, with an error for who waits; from any thread."""
        job = self.running
        if job is not None:
            job.cancelled = True

    def next_call(self) -> Job:
        """The writer's end: wait for the client.

        Raises TransactionExpiredError after the idle limit, and NodeStoppedError once
        the time is over that `end_within` left.
        """
        while True:
            left_s = self._left_s()
            if left_s <= 0:
                raise NodeStoppedError(
                    "this node is stopping: the transaction that was open is taken back"
                )
            try:
                job = self._calls.get(timeout=min(self.idle_limit_s, left_s))
            except queue.Empty:
                if left_s < self.idle_limit_s:
                    continue
                raise _expired(self.idle_limit_s) from None
            if job.work is not _Signal.HURRY:
                return job

    def end_within(self, limit_s: float) -> None:
        """Take it back unless its client ends it by then; from any thread."""
        self._deadline_s = time.monotonic() + limit_s
        self._calls.put(Job(_Signal.HURRY))

    def _left_s(self) -> float:
        """Seconds until it must have ended."""
        deadline_s = self._deadline_s
        return math.inf if deadline_s is None else deadline_s - time.monotonic()

    def ends(self, why: str) -> TransactionExpiredError:
        """The writer's end, before its client is told: what later calls are told."""
        error = TransactionExpiredError(why)
        self._end = error
        self.ended = True
        return error

    def close(self, error: NexusError) -> None:
        """The writer's end: nothing more is accepted; late calls get `error`."""
        self._end = error
        self.ended = True
        while not self._calls.empty():
            late = self._calls.get()
            late.error = error
            deliver([late])

    def _answer_if_late(self) -> None:
        """The writer may have left between the check and the put."""
        if self.ended:
            self.close(self._end or _expired(self.idle_limit_s))

    def _call(self, work: Any) -> Any:
        return self._put(Job(work)).wait()

    async def _ask(self, work: Any) -> Any:
        return await self._put(Job(work, asyncio.get_running_loop())).waiter

    def _put(self, job: Job) -> Job:
        if self.ended:
            raise self.end_error
        self._calls.put(job)
        self._answer_if_late()
        return job


def serve_interactive(
    opening: Job,
    work: Interactive,
    transaction: InteractiveTransaction,
    writer: BatchWriter,
) -> None:
    """Serve one client on the writer thread until its transaction ends."""
    try:
        writer.begin_interactive()
    except DatabaseBusyError as busy:
        _refuse(opening, busy)
        return
    except BaseException as error:
        _refuse(opening, nothing_happened(error))
        raise
    opening.result = transaction
    deliver([opening])
    end: NexusError = NodeStoppedError("this node's writer has stopped")
    try:
        end = _serve_calls(transaction, work, writer)
    finally:
        transaction.close(end)


def _serve_calls(
    transaction: InteractiveTransaction, work: Interactive, writer: BatchWriter
) -> NexusError:
    """Serve calls in order; returns what later calls are to be told."""
    while True:
        try:
            job = transaction.next_call()
        except (TransactionExpiredError, NodeStoppedError) as expiry:
            writer.abandon()
            return expiry
        if job.work is _Signal.COMMIT:
            end = transaction.ends("this transaction was committed")
            _commit(job, work, writer)
            return end
        if job.work is _Signal.ROLLBACK:
            writer.abandon()
            end = transaction.ends("this transaction was rolled back")
            deliver([job])
            return end
        transaction.begins(job)
        writer.capture.watched = job
        try:
            job.result = writer.capture.execute(job.work)
        except NexusError as refusal:
            job.error = refusal
        except BaseException as error:
            _refuse(job, nothing_happened(error))
            raise
        finally:
            transaction.running = writer.capture.watched = None
        if not writer.capture.outer_stands:
            writer.abandon()
            end = transaction.ends(
                "a statement rolled the whole transaction back; begin a new one"
            )
            deliver([job])
            return end
        deliver([job])


def _commit(job: Job, work: Interactive, writer: BatchWriter) -> None:
    try:
        writer.finish_interactive(job, work.transaction_id)
    except TransactionError as refusal:
        writer.abandon()
        _refuse(job, refusal)
    except BaseException as error:
        if not job.delivered:
            _refuse(job, nothing_happened(error))
        raise


def _refuse(job: Job, error: NexusError) -> None:
    job.error = error
    deliver([job])


def _expired(idle_limit_s: float) -> TransactionExpiredError:
    return TransactionExpiredError(
        f"the transaction was idle for more than {idle_limit_s:g} s and was rolled "
        "back so that others can write; begin a new one"
    )
