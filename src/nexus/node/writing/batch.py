"""What the transactions of one batch leave to log and to answer, and who is told."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from nexus.errors import (
    DiskFullError,
    NexusError,
    OutcomeUnknownError,
    WritesStoppedError,
)
from nexus.model.entry import Record
from nexus.model.operation import Fingerprint
from nexus.model.position import Offset
from nexus.node.telemetry.measures import Measures
from nexus.node.telemetry.shortage import Shortage
from nexus.node.writing.commitment import Commitment
from nexus.node.writing.jobs import Job, deliver
from nexus.node.writing.work import Answer


@dataclass(frozen=True, slots=True)
class Hooks:
    """Whom the writer thread tells what; called on that thread, must not block."""

    stored: Callable[[Offset], None]
    """The log holds everything up to this offset durably."""
    applied: Callable[[Offset], None]
    """SQLite has committed everything up to this offset."""
    failed: Callable[[BaseException], None]
    """The disk or the database failed: this node must stop."""
    fingerprint: Callable[[Fingerprint, Offset], None]
    """The database stands exactly at this entry: pin it now and hash it later."""
    durable_on: Callable[[Offset], int]
    """On how many nodes the entry is known to be durable, with this one."""
    written: Callable[[Offset], None]
    """The log holds everything up to this offset, and is about to be synced."""
    measures: Measures
    space: Shortage
    """Where it is told that writes are refused because the disk is full."""
    commitment: Commitment | None = None
    """In sync mode: where to wait for the quorum before SQLite commits."""


@dataclass(slots=True)
class Batch:
    """The transactions that one sync of the log makes durable."""

    answered: list[Job]
    records: list[Record]
    marks: list[tuple[Fingerprint, Offset]]
    size_bytes: int = 0
    statements: int = 0
    """Of the transactions that were not refused."""
    refused: int = 0
    """Of `answered`, those that a client's own error ended."""

    def leave_unknown(self, reason: str, measures: Measures) -> None:
        """Tell its clients that their writes may still commit."""
        for job in self.answered:
            answer = job.result
            if job.error is None and isinstance(answer, Answer) and answer.position:
                measures.unknown += 1
                job.error = OutcomeUnknownError(
                    f"the write stands in the log at offset {answer.position.offset}, "
                    f"but it is not committed: {reason}; it may still commit, so "
                    "retry with the same transaction id",
                    offset=answer.position.offset,
                )
        deliver(self.answered)
        self.answered.clear()

    def measure(self, measures: Measures) -> None:
        """Count it, once it is answered: a few steps a batch, whatever its size."""
        answered = self.answered
        if answered:
            measures.commit.observe(monotonic() - answered[0].since)
            measures.batch.observe(len(answered))
            measures.committed += len(answered) - self.refused
            if self.refused:
                measures.refused += self.refused
            measures.statements_committed += self.statements


def refuse(jobs: list[Job], error: NexusError, measures: Measures) -> None:
    """Nothing of these jobs has reached the log: nothing happened."""
    unanswered = [job for job in jobs if not job.delivered]
    for job in unanswered:
        job.error = error
    measures.refused += len(unanswered)
    deliver(unanswered)


def nothing_happened(error: BaseException) -> NexusError:
    """What a client is told whose transaction broke off before it was logged."""
    kind = DiskFullError if isinstance(error, DiskFullError) else WritesStoppedError
    return kind(
        f"this node takes no writes: {error}; nothing of this transaction happened"
    )
