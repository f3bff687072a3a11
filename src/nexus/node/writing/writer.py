"""Turn transactions to entries: capture, append, sync, commit; one batch at a time.

All of it runs on the writer thread. The order is the promise: an entry is durable in
the log before SQLite commits it, and no client is answered before both.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from nexus.errors import (
    DatabaseBusyError,
    DiskFullError,
    NexusError,
    StorageError,
)
from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Fingerprint, Own
from nexus.model.position import Offset, Position, Reign
from nexus.node.startup import apply_logged
from nexus.node.writing.answers import answer_again, stored_answer
from nexus.node.writing.batch import Batch, Hooks, nothing_happened, refuse
from nexus.node.writing.commitment import ReignEndedError
from nexus.node.writing.jobs import Job, deliver
from nexus.node.writing.work import Answer, Transaction
from nexus.storage.apply import Applier
from nexus.storage.capture import Capture
from nexus.storage.capturing.results import Captured
from nexus.storage.database import Database
from nexus.storage.wal import WriteAheadLog

MAX_BATCH_BYTES: Final = 16 << 20
"""A batch closes when its entries reach this size: bounds the memory it holds."""


class BatchWriter:
    """Writes the entries of one reign after another; used on one thread."""

    def __init__(
        self, database: Database, log: WriteAheadLog, hooks: Hooks, *, limit_bytes: int
    ) -> None:
        self.capture = Capture(database, limit_bytes)
        self.hooks = hooks
        self.reign: Reign | None = None
        self.while_late: Callable[[], None] = lambda: None
        """Called each time that no quorum has answered for the time allowed: whoever
        waits behind the batch is to be told."""
        self._database = database
        self._log = log

    @property
    def stands(self) -> bool:
        """Whether the database holds all of its log, so that more may be captured."""
        applied = self._database.position.offset
        return not self._log.failed and applied == self._log.last_offset

    def run_batch(self, jobs: list[Job]) -> list[Job]:
        """Run these transactions as one batch; returns those to be run again.

        A transaction that ends the outer SQLite transaction (`INSERT OR ROLLBACK`,
        a full disk) takes everybody's rows with it: the others run again without it.
        """
        try:
            return self._run(jobs)
        except BaseException as error:
            refuse(jobs, nothing_happened(error), self.hooks.measures)
            raise

    def _run(self, jobs: list[Job]) -> list[Job]:
        batch = Batch([], [], [])
        try:
            self._begin()
        except DatabaseBusyError as error:
            refuse(jobs, error, self.hooks.measures)
            return []
        for index, job in enumerate(jobs):
            self._capture_job(job, batch)
            if not self.capture.outer_stands:
                self.abandon()
                deliver([job])
                self.hooks.measures.refused += 1
                return [other for other in jobs if other is not job]
            if batch.size_bytes > MAX_BATCH_BYTES:
                self._decide(batch)
                return jobs[index + 1 :]
        self._decide(batch)
        return []

    def _capture_job(self, job: Job, batch: Batch) -> None:
        transaction: Transaction = job.work
        job.error = None
        batch.answered.append(job)
        try:
            if transaction.transaction_id:
                known = self._database.answer_of(transaction.transaction_id)
                if known is not None:
                    job.result = answer_again(transaction.transaction_id, *known)
                    return
            self.capture.watched = job
            captured = self.capture.run(transaction.statements)
            job.result = self._record(captured, transaction.transaction_id, batch)
            batch.statements += len(transaction.statements)
        except NexusError as error:
            if isinstance(error, DiskFullError):
                self.hooks.space.begins(error)
            job.error = error
            batch.refused += 1
            self.hooks.measures.statements_refused += len(transaction.statements)
        finally:
            self.capture.watched = None

    def _record(self, captured: Captured, transaction_id: str, batch: Batch) -> Answer:
        """Turn a captured transaction into the batch's next entry."""
        assert self.reign is not None, "entries are written within a reign"
        if not captured.operations and not transaction_id:
            return Answer(captured.results, None)
        reign = self.reign
        offset = Offset(self._log.last_offset + len(batch.records) + 1)
        answer = b""
        if transaction_id:
            answer = stored_answer(reign, captured)
            self._database.remember_answer(transaction_id, offset, answer)
        if captured.schema_changes:
            self._database.keep_columns(offset, captured.schema_changes)
        payload = encode_payload(
            Payload(
                time.time_ns() // 1000,
                transaction_id,
                captured.schema_hash,
                captured.operations,
                answer,
            )
        )
        batch.records.append(Record(reign.epoch, offset, payload))
        batch.size_bytes += len(payload)
        return Answer(captured.results, Position(reign.epoch, offset, reign.history_id))

    def _decide(self, batch: Batch) -> None:
        """Log the batch, commit it, answer its clients."""
        if not batch.records:
            self._database.commit(None)
        else:
            shortage = self._log_batch(batch)
            if shortage is None:
                self._await_quorum(batch)
                self._commit_batch(batch)
            else:
                for job in batch.answered:
                    job.error = shortage
                batch.refused, batch.statements = len(batch.answered), 0
        deliver(batch.answered)
        batch.measure(self.hooks.measures)
        self._database.checkpoint_when_due()

    def _log_batch(self, batch: Batch) -> DiskFullError | None:
        """Append and sync; returns the error if there was no space, without a trace.

        Any other failure is raised: what reached the disk is unknown, the node stops.
        """
        measures = self.hooks.measures
        try:
            sync_mode = (own := self.hooks.commitment) is not None and own.quorum
            began = time.monotonic()
            self._log.append(batch.records, durably=not sync_mode)
            # From here on others may hold it: a failure stops this node (hard-case 1).
            self.hooks.written(batch.records[-1].offset)
            durable = self._log.sync()
            measures.log_sync.observe(time.monotonic() - began)
        except DiskFullError as shortage:
            if not self._log.failed:
                self.hooks.space.begins(shortage)
                self.abandon()
                return shortage
            batch.leave_unknown(f"this node failed: {shortage}", measures)
            raise
        except StorageError as error:
            batch.leave_unknown(f"this node failed: {error}", measures)
            raise
        self.hooks.space.settles()
        self.hooks.stored(durable)
        return None

    def _await_quorum(self, batch: Batch) -> None:
        """In sync mode return once a quorum holds the batch's entries.

        Clients whose time is up are told that the outcome is unknown; the batch goes on
        waiting. Raises ReignEndedError, with the SQLite transaction taken back.
        """
        commitment = self.hooks.commitment
        if commitment is None:
            return
        last = batch.records[-1].offset
        measures, began = self.hooks.measures, time.monotonic()
        try:
            if commitment.wait(last, commitment.timeout_s):
                measures.quorum_wait.observe(time.monotonic() - began)
                commitment.acknowledged += len(batch.answered)
                return
            commitment.late += len(batch.answered)
            batch.leave_unknown(
                "no quorum has confirmed it within the time allowed", measures
            )
            self.while_late()
            while not commitment.wait(last, commitment.timeout_s):
                self.while_late()
            measures.quorum_wait.observe(time.monotonic() - began)
        except ReignEndedError as error:
            batch.leave_unknown(str(error), measures)
            self.abandon()
            raise

    def _commit_batch(self, batch: Batch) -> None:
        """Commit what the log holds; a failure here is never told as a failure."""
        last = batch.records[-1]
        assert self.reign is not None, "entries are written within a reign"
        position = Position(last.epoch, last.offset, self.reign.history_id)
        try:
            self._database.commit(position)
        except BaseException as error:
            batch.leave_unknown(f"this node failed: {error}", self.hooks.measures)
            raise
        for mark, offset in batch.marks:
            self.hooks.fingerprint(mark, offset)
        self.hooks.applied(last.offset)
        durable_on = self.hooks.durable_on(last.offset)
        if durable_on > 1:
            for job in batch.answered:
                answer = job.result
                if isinstance(answer, Answer) and answer.position is not None:
                    job.result = Answer(
                        answer.results, answer.position, durable_on=durable_on
                    )

    def write_operations(
        self, operations: Sequence[Own | Fingerprint], *, mode: str = ""
    ) -> Offset:
        """Log and commit an entry of Nexus's own; returns its offset."""
        assert self.reign is not None, "entries are written within a reign"
        reign = self.reign
        offset = Offset(self._log.last_offset + 1)
        payload = Payload(time.time_ns() // 1000, "", b"", tuple(operations), mode=mode)
        batch = Batch([], [Record(reign.epoch, offset, encode_payload(payload))], [])
        self._begin()
        try:
            for operation in operations:
                if isinstance(operation, Fingerprint):
                    batch.marks.append((operation, offset))
                else:
                    self._database.keep_own(operation, offset)
        except DiskFullError:
            self.abandon()
            raise
        shortage = self._log_batch(batch)
        if shortage is not None:
            raise shortage
        self._await_quorum(batch)
        self._commit_batch(batch)
        self._database.checkpoint_when_due()
        return offset

    def recover(self) -> None:
        """After a commit that found no space: apply what the log holds beyond it.

        Raises DiskFullError while there is still no space.
        """
        self.abandon()
        applier = Applier(self._database, on_fingerprint=self.hooks.fingerprint)
        apply_logged(self._log, self._database, applier)
        self._database.set_mode_capturing()
        self.hooks.applied(self._database.position.offset)

    @property
    def can_recover(self) -> bool:
        """Whether the log is sound, so that nothing but space was missing."""
        return not self._log.failed

    def begin_interactive(self) -> None:
        """Open a SQLite transaction for one client alone."""
        self._begin()
        self.capture.begin()

    def finish_interactive(self, job: Job, transaction_id: str) -> None:
        """Commit an interactive transaction; `job` is its client's commit call."""
        batch = Batch([], [], [])
        captured = self.capture.finish()
        if not captured.operations:
            transaction_id = ""  # nothing happened that could be done twice
        elif transaction_id:
            # Its client has the results already: what a retry asks is the position.
            captured = Captured(captured.operations, [], captured.schema_hash)
        job.result = self._record(captured, transaction_id, batch)
        batch.answered.append(job)
        self._decide(batch)

    def abandon(self) -> None:
        """Take back the open SQLite transaction, if one still stands."""
        self.capture.forget()
        self._database.rollback()

    def _begin(self) -> None:
        """Open the writer's transaction, on a database that holds all of its log."""
        if not self.stands:
            raise StorageError(
                f"the database stands at entry {self._database.position.offset}, its "
                f"log at {self._log.last_offset}: start this node again"
            )
        self._database.begin()
