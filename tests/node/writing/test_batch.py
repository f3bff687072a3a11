"""What one batch counts, from the writer that decides it."""

from pathlib import Path

import pytest

from nexus.errors import DiskFullError, OutcomeUnknownError
from nexus.model.position import Offset
from nexus.node.telemetry.measures import Histogram, Measures
from nexus.node.writing.batch import nothing_happened
from nexus.node.writing.commitment import Commitment
from nexus.node.writing.jobs import Job
from nexus.node.writing.work import Transaction
from nexus.node.writing.writer import BatchWriter
from nexus.storage.capturing.results import Statement
from node.builders import Desk, open_desk


def job(*statements: str) -> Job:
    return Job(Transaction(tuple(Statement(sql) for sql in statements)))


def outcomes(measures: Measures) -> tuple[int, int, int]:
    return measures.committed, measures.refused, measures.unknown


def observed(histogram: Histogram) -> float:
    return histogram.cumulative()[0][-1][1]


def prepared(desk: Desk) -> BatchWriter:
    writer = desk.writer()
    assert writer.run_batch([job("create table t (a integer primary key)")]) == []
    return writer


def test_a_batch_is_counted_by_the_outcome_of_each_transaction(
    tmp_path: Path,
) -> None:
    desk = open_desk(tmp_path)
    writer = prepared(desk)
    measures = writer.hooks.measures

    writer.run_batch(
        [
            job("insert into t values (1)", "insert into t values (2)"),
            job("insert into t values (1)"),
            job("insert into t values (3)"),
        ]
    )

    assert outcomes(measures) == (3, 1, 0)
    assert measures.statements_committed == 4
    assert measures.statements_refused == 1
    assert measures.batch.cumulative()[1] == 4
    assert observed(measures.batch) == observed(measures.commit) == 2
    assert observed(measures.log_sync) == 3  # the reign's own, too
    assert observed(measures.quorum_wait) == 0
    desk.close()


def test_who_ends_the_batch_of_all_is_counted_once_and_so_are_the_others(
    tmp_path: Path,
) -> None:
    desk = open_desk(tmp_path)
    writer = prepared(desk)
    culprit = job(
        "insert or rollback into t values (1)", "insert or rollback into t values (1)"
    )
    other = job("insert into t values (7)")

    left = writer.run_batch([other, culprit])
    assert left == [other]
    writer.run_batch(left)

    assert outcomes(writer.hooks.measures) == (2, 1, 0)
    desk.close()


def test_the_wait_for_the_quorum_is_timed_and_what_is_late_is_unknown(
    tmp_path: Path,
) -> None:
    commitment = Commitment(0.01)
    commitment.reached(Offset(2))
    desk = open_desk(tmp_path, commitment)
    writer = prepared(desk)
    writer.while_late = lambda: commitment.reached(Offset(3))
    late = job("insert into t values (1)")

    writer.run_batch([late])

    assert isinstance(late.error, OutcomeUnknownError)
    measures = writer.hooks.measures
    assert outcomes(measures) == (1, 0, 1)
    assert observed(measures.quorum_wait) == 3
    assert measures.quorum_wait.cumulative()[1] >= 0.01
    desk.close()


@pytest.mark.interpreted
def test_a_batch_that_breaks_off_is_refused_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = open_desk(tmp_path)
    writer = prepared(desk)

    def broken() -> None:
        raise OSError("gone")

    monkeypatch.setattr(desk.database, "begin", broken)
    jobs = [job("insert into t values (1)"), job("insert into t values (2)")]
    with pytest.raises(OSError, match="gone"):
        writer.run_batch(jobs)

    assert [str(one.error) for one in jobs] == [
        str(nothing_happened(OSError("gone")))
    ] * 2
    assert writer.hooks.measures.refused == 2
    monkeypatch.undo()
    desk.close()


@pytest.mark.interpreted
def test_a_disk_without_space_refuses_the_whole_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = open_desk(tmp_path)
    writer = prepared(desk)

    def short(*_: object, **__: object) -> None:
        raise DiskFullError("no space")

    monkeypatch.setattr(desk.log, "append", short)
    one = job("insert into t values (1)")
    writer.run_batch([one])

    assert isinstance(one.error, DiskFullError)
    assert writer.hooks.measures.refused == 1
    assert writer.hooks.measures.statements_committed == 1
    monkeypatch.undo()
    desk.close()
