"""The thread that applies what a replica's log holds."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nexus.errors import ApplyError, ForeignWriteError, NodeStoppedError, StatementError
from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Fingerprint, Operation, Reigned, Schema
from nexus.model.position import Offset, Position
from nexus.node.writing.jobs import Job
from nexus.node.writing.worker import ApplyHooks, ApplyWorker, errand
from nexus.storage.database import Database
from nexus.storage.wal import WalSettings, WriteAheadLog
from node.builders import PATIENCE_S, REIGN, elsewhere, locked_elsewhere, mark


@dataclass
class Bench:
    """A replica's log and database, and what its worker tells."""

    database: Database
    log: WriteAheadLog
    applied: list[Position] = field(default_factory=list)
    conflicts: list[ApplyError] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    marks: list[tuple[Offset, Offset]] = field(default_factory=list)
    told: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def worker(self) -> Iterator[ApplyWorker]:
        worker = ApplyWorker(
            self.database,
            self.log,
            ApplyHooks(
                applied=lambda position: self._note(self.applied, position),
                conflicted=lambda error: self._note(self.conflicts, error),
                failed=lambda error: self._note(self.failures, error),
                fingerprint=self._mark,
                short=lambda error: self._note(self.failures, error),
            ),
        )
        worker.start()
        try:
            yield worker
        finally:
            worker.stop()

    def receive(self, *entries: Sequence[Operation]) -> Offset:
        """Log these entries, as if a master had sent them."""
        first = self.log.last_offset + 1
        self.log.append(
            [
                Record(
                    REIGN.epoch,
                    Offset(first + place),
                    encode_payload(Payload(0, "", b"", tuple(operations))),
                )
                for place, operations in enumerate(entries)
            ]
        )
        return self.log.sync()

    def until(self, list_name: str, count: int = 1) -> None:
        """Return once so much was told."""
        with self.told:
            assert self.told.wait_for(
                lambda: len(getattr(self, list_name)) >= count, PATIENCE_S
            )

    def until_applied(self, offset: int) -> None:
        with self.told:
            assert self.told.wait_for(
                lambda: self.database.position.offset >= offset, PATIENCE_S
            )

    def _mark(self, _: Fingerprint, offset: Offset) -> None:
        self._note(self.marks, (offset, self.database.position.offset))

    def _note(self, noted: list, what: object) -> None:  # type: ignore[type-arg]  # of any
        with self.told:
            noted.append(what)
            self.told.notify_all()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(
        Database.open(tmp_path / "nexus.db"),
        WriteAheadLog.open(tmp_path / "wal", WalSettings(segment_bytes=1 << 20)),
    )
    bench.receive([Reigned(REIGN)], [Schema("create table t(id integer primary key)")])
    yield bench
    bench.database.close()
    bench.log.close()


def test_nothing_is_applied_beyond_the_target(bench: Bench) -> None:
    bench.receive([Schema("create table u(id integer primary key)")])
    with bench.worker() as worker:
        worker.advance(Offset(2))
        bench.until_applied(2)
        worker.advance(Offset(1))  # a target never moves back
        job = errand(lambda: bench.database.position.offset)
        worker.run_soon(job)
        assert job.wait() == 2
        worker.advance(Offset(3))
        bench.until_applied(3)

    assert bench.applied[-1] == Position(REIGN.epoch, Offset(3), REIGN.history_id)


def test_a_hold_lasts_until_the_next_advance(bench: Bench) -> None:
    with bench.worker() as worker:
        worker.advance(Offset(1))
        bench.until_applied(1)
        worker.hold()
        job = errand(lambda: None)
        worker.run_soon(job)
        job.wait()
        assert bench.database.position.offset == 1
        worker.advance(Offset(2))
        bench.until_applied(2)


def test_a_mark_is_told_at_its_own_entry_even_in_the_middle_of_a_batch(
    bench: Bench,
) -> None:
    bench.receive([mark("a")], [Schema("create table u(x)")], [mark("b")], [mark("c")])
    with bench.worker() as worker:
        worker.advance(Offset(6))
        bench.until_applied(6)

    assert bench.marks == [(3, 3), (5, 5), (6, 6)]


def test_a_conflict_halts_before_its_entry_until_a_restart(bench: Bench) -> None:
    bench.receive([Schema("create table t(id integer primary key)")], [mark()])
    with bench.worker() as worker:
        worker.advance(Offset(4))
        bench.until("conflicts")
        worker.advance(Offset(5))
        job = errand(lambda: bench.database.position.offset)
        worker.run_soon(job)
        assert job.wait() == 2
        assert "entry 3" in str(bench.conflicts[0])
        assert len(bench.conflicts) == 1

        def mend() -> None:
            bench.database.begin()
            bench.database.writer.execute("drop table t")
            bench.database.commit(None)
            worker.restart()

        mending = errand(mend)
        worker.run_soon(mending)
        mending.wait()
        worker.advance(Offset(4))
        bench.until_applied(4)
    assert not bench.failures


def test_an_errand_answers_or_raises_and_the_worker_goes_on(bench: Bench) -> None:
    def refuse() -> None:
        raise StatementError("not now")

    with bench.worker() as worker:
        bad, good = errand(refuse), errand(lambda: 7)
        worker.run_soon(bad)
        worker.run_soon(good)
        with pytest.raises(StatementError):
            bad.wait()
        assert good.wait() == 7


def test_a_fault_of_ours_in_an_errand_reaches_its_caller_and_the_node(
    bench: Bench,
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a fault of ours")

    with bench.worker() as worker:
        job = errand(broken)
        worker.run_soon(job)
        with pytest.raises(ZeroDivisionError):
            job.wait()
        bench.until("failures")
        with pytest.raises(NodeStoppedError):
            asked(worker).wait()


def test_a_stop_ends_the_thread_and_refuses_later_errands(bench: Bench) -> None:
    with bench.worker() as worker:
        worker.advance(Offset(2))
        worker.stop()
        with pytest.raises(NodeStoppedError):
            asked(worker).wait()


def test_a_lock_held_elsewhere_delays_the_apply_and_does_not_end_it(
    bench: Bench,
) -> None:
    bench.database.writer.set_busy_timeout(1)
    with bench.worker() as worker:
        with locked_elsewhere(bench.database.path):
            worker.advance(Offset(2))
            job = asked(worker)
            job.wait()
            assert bench.database.position.offset == 0
        bench.until_applied(2)
    assert not bench.failures


def test_rows_written_past_the_log_end_the_apply(bench: Bench) -> None:
    elsewhere(bench.database.path, "create table foreign_rows(x)")
    with bench.worker() as worker:
        worker.advance(Offset(2))
        bench.until("failures")

    assert isinstance(bench.failures[0], ForeignWriteError)
    assert bench.database.position.offset == 0


def asked(worker: ApplyWorker) -> Job:
    """An errand that does nothing, under way."""
    job = errand(lambda: None)
    worker.run_soon(job)
    return job
