"""One batch after another: capture, append, sync, commit, answer."""

import errno
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from nexus.errors import (
    ConstraintError,
    DatabaseBusyError,
    DiskFullError,
    ForeignWriteError,
    OutcomeUnknownError,
    StorageError,
    TransactionError,
    WritesStoppedError,
)
from nexus.model.cluster import Outcome
from nexus.model.operation import Configuration, Reigned
from nexus.model.position import Offset
from nexus.node.startup import open_storage, redo
from nexus.node.telemetry import shortage
from nexus.node.writing.answers import STORED_ANSWER_LIMIT
from nexus.node.writing.commitment import Commitment, ReignEndedError
from nexus.node.writing.jobs import Job
from nexus.node.writing.work import Transaction
from nexus.node.writing.writer import MAX_BATCH_BYTES, BatchWriter
from nexus.storage.database import Database
from node.builders import (
    PATIENCE_S,
    REIGN,
    Desk,
    elsewhere,
    locked_elsewhere,
    mark,
    open_desk,
    settings,
    wanted,
)

INSERT = "insert into t(v) values (?)"


@pytest.fixture
def writer(desk: Desk) -> BatchWriter:
    """A writer with one table."""
    writer = desk.writer()
    done(writer, wanted("create table t(id integer primary key, v unique)"))
    return writer


def done(writer: BatchWriter, *transactions: Transaction) -> list[Job]:
    """Run these as one batch, again where the writer asks for it."""
    jobs = [Job(transaction) for transaction in transactions]
    waiting = jobs
    while waiting:
        waiting = writer.run_batch(waiting)
    return jobs


def test_a_reign_begins_with_an_entry_that_holds_nothing_else(desk: Desk) -> None:
    desk.writer()

    assert [entry.operations for entry in desk.entries()] == [(Reigned(REIGN),)]
    assert desk.database.history().reigns == (REIGN,)


def test_transactions_of_one_batch_take_an_entry_each_and_one_sync(
    desk: Desk, writer: BatchWriter
) -> None:
    desk.stored.clear()
    jobs = done(writer, *(wanted((INSERT, (n,))) for n in range(5)))

    offsets = [job.result.position.offset for job in jobs]
    assert offsets == [3, 4, 5, 6, 7]
    assert desk.stored == [7]
    assert desk.applied[-1] == desk.database.position.offset == 7
    assert desk.rows("select v from t order by id") == [(n,) for n in range(5)]


def test_the_log_is_durable_before_sqlite_commits_and_both_before_any_answer(
    desk: Desk,
) -> None:
    seen: list[tuple[str, int, int, bool]] = []
    job = Job(wanted("create table t(v)"))

    def note(what: str) -> None:
        durable, applied = desk.log.durable_offset, desk.database.position.offset
        seen.append((what, durable, applied, job.delivered))

    writer = desk.writer()
    writer.hooks = replace(
        desk.hooks(),
        stored=lambda _: note("stored"),
        applied=lambda _: note("applied"),
    )
    writer.run_batch([job])

    assert seen == [("stored", 2, 1, False), ("applied", 2, 2, False)]
    assert job.delivered


def test_in_sync_mode_entries_are_told_of_before_this_nodes_own_sync(
    desk: Desk,
) -> None:
    writer, waits = desk.writer(), Commitment(PATIENCE_S)
    seen: list[tuple[str, Offset, Offset]] = []

    def note(what: str, offset: Offset) -> None:
        seen.append((what, offset, desk.log.durable_offset))
        waits.reached(desk.log.durable_offset)

    writer.hooks = replace(
        desk.hooks(),
        written=lambda offset: note("written", offset),
        stored=lambda offset: note("stored", offset),
        commitment=waits,
    )
    writer.run_batch([Job(wanted("create table t(v)"))])

    assert seen == [("written", 2, 1), ("stored", 2, 2)]


def test_what_changes_nothing_takes_no_offset(desk: Desk, writer: BatchWriter) -> None:
    (job,) = done(writer, wanted("delete from t"))

    assert job.result.position is None
    assert desk.log.last_offset == 2


def test_a_refused_transaction_leaves_the_rest_of_its_batch_alone(
    desk: Desk, writer: BatchWriter
) -> None:
    first, second, third = done(
        writer,
        wanted((INSERT, (1,))),
        wanted((INSERT, (2,)), (INSERT, (1,))),
        wanted((INSERT, (3,))),
    )

    assert first.result.position.offset == 3
    assert isinstance(second.error, ConstraintError)
    assert second.error.index == 1
    assert third.result.position.offset == 4
    assert desk.rows("select v from t") == [(1,), (3,)]


def test_who_rolls_everybody_back_is_answered_alone_and_the_others_run_again(
    desk: Desk, writer: BatchWriter
) -> None:
    done(writer, wanted((INSERT, (1,))))
    first, culprit, last = done(
        writer,
        wanted((INSERT, (2,))),
        wanted("insert or rollback into t(v) values (1)"),
        wanted((INSERT, (3,))),
    )

    assert isinstance(culprit.error, ConstraintError)
    assert [first.error, last.error] == [None, None]
    assert [first.result.position.offset, last.result.position.offset] == [4, 5]
    assert desk.rows("select v from t") == [(1,), (2,), (3,)]
    assert len(desk.entries()) == 5


def test_hard_case_6_an_answer_that_rested_on_rows_taken_back_is_given_anew(
    writer: BatchWriter,
) -> None:
    done(writer, wanted((INSERT, ("taken",))))
    _, reader, refused, _ = done(
        writer,
        wanted((INSERT, ("mine",))),
        wanted("select count(*) from t"),
        wanted((INSERT, ("mine",))),
        wanted("insert or rollback into t(v) values ('taken')"),
    )

    assert reader.result.results[0].rows == [(2,)]
    assert isinstance(refused.error, ConstraintError)


def test_a_batch_closes_when_its_entries_are_large(
    desk: Desk, writer: BatchWriter
) -> None:
    size = MAX_BATCH_BYTES // 20
    jobs = [Job(wanted((INSERT, (bytes([n]) * size,)))) for n in range(30)]

    rest = writer.run_batch(jobs)

    assert 0 < len(rest) < len(jobs)
    assert all(job.delivered for job in jobs[: -len(rest)])
    assert not any(job.delivered for job in rest)
    assert desk.log.durable_offset == desk.database.position.offset


@pytest.mark.interpreted
def test_an_entry_of_its_own_that_finds_no_space_leaves_no_transaction_open(
    desk: Desk, writer: BatchWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise DiskFullError("no space left")

    done(writer, wanted((INSERT, (1,))))
    configuration = Configuration("cluster", (("a", "at-a"),))
    with monkeypatch.context() as patched:
        patched.setattr(Database, "keep_own", full)
        with pytest.raises(DiskFullError):
            writer.write_operations((configuration,))

    (again,) = done(writer, wanted((INSERT, (2,))))
    assert again.error is None
    assert again.result.position.offset == desk.log.last_offset == 4


def test_a_full_disk_refuses_the_batch_and_leaves_no_trace(
    desk: Desk, writer: BatchWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    large = wanted((INSERT, (bytes(900 << 10),)))
    done(writer, large)
    with monkeypatch.context() as patched:
        patched.setattr("os.posix_fallocate", full)
        first, second = done(
            writer, wanted((INSERT, (b"1" * (900 << 10),))), wanted((INSERT, (2,)))
        )

    assert isinstance(first.error, DiskFullError)
    assert isinstance(second.error, DiskFullError)
    assert not desk.failures
    assert [event.kind for event in desk.events.since(0)] == ["disk_full"]
    assert desk.log.last_offset == desk.database.position.offset == 3

    monkeypatch.setattr(shortage, "SETTLE_S", 0.0)

    (again,) = done(writer, wanted((INSERT, (2,))))
    assert again.result.position.offset == 4
    assert desk.events.since(0)[-1].kind == "disk_has_space"
    assert desk.rows("select count(*) from t") == [(2,)]


def test_a_failed_sync_answers_unknown_and_stops_the_writer(
    desk: Desk, writer: BatchWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    job, reader = Job(wanted((INSERT, (1,)))), Job(wanted("select 1"))
    with monkeypatch.context() as patched:
        patched.setattr("os.pwritev", broken)
        patched.setattr("os.fdatasync", broken)
        with pytest.raises(StorageError, match="Input/output error"):
            writer.run_batch([job, reader])

    assert isinstance(job.error, OutcomeUnknownError)
    assert job.error.offset == 3
    assert job.delivered
    assert reader.delivered
    assert desk.database.position.offset == 2


@pytest.mark.interpreted
def test_hard_case_13_a_commit_that_fails_after_the_log_is_never_told_as_a_failure(
    desk: Desk, writer: BatchWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise StorageError("SQLite could not commit")

    job = Job(wanted((INSERT, (1,))))
    monkeypatch.setattr(desk.database, "commit", broken)
    with pytest.raises(StorageError, match="could not commit"):
        writer.run_batch([job])

    assert isinstance(job.error, OutcomeUnknownError)
    assert desk.log.durable_offset == 3


@pytest.mark.interpreted
def test_nothing_is_captured_while_the_database_is_behind_its_log(
    desk: Desk, writer: BatchWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Hard-case 13: SQLite took a commit back that stands in the log.
    def taken_back(_: object) -> None:
        desk.database.rollback()
        raise StorageError("SQLite could not commit")

    with monkeypatch.context() as patched:
        patched.setattr(desk.database, "commit", taken_back)
        with pytest.raises(StorageError, match="could not commit"):
            writer.write_operations((mark(),))
    assert not writer.stands

    job = Job(wanted((INSERT, (1,))))
    with pytest.raises(StorageError, match="stands at entry 2, its log at 3"):
        writer.run_batch([job])

    assert isinstance(job.error, WritesStoppedError)
    assert desk.log.last_offset == 3


@pytest.mark.interpreted
def test_a_crash_between_log_and_commit_is_made_good_at_the_next_start(
    tmp_path: Path,
) -> None:
    script = f"""
import os
from pathlib import Path
from node.builders import open_desk, wanted
from nexus.node.writing.jobs import Job
desk = open_desk(Path({str(tmp_path / "data")!r}))
writer = desk.writer()
writer.run_batch([Job(wanted("create table t(id integer primary key, v)"))])
desk.database.commit = lambda _: os._exit(9)
writer.run_batch([Job(wanted("insert into t(v) values (7)", name="once"))])
"""
    (tmp_path / "data").mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ended.returncode == 9

    storage = open_storage(settings(tmp_path / "data"))
    try:
        assert storage.database.position.offset == 2
        redo(storage)
        assert storage.database.position.offset == 3
        with storage.database.reader() as reader:
            assert reader.execute("select v from t").fetchall() == [(7,)]
        assert storage.database.answer_of("once") is not None
    finally:
        storage.close()


@pytest.mark.interpreted
def test_an_error_that_nobody_foresaw_settles_every_job_of_the_batch(
    desk: Desk, writer: BatchWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    jobs = [Job(wanted((INSERT, (n,)))) for n in range(3)]
    monkeypatch.setattr(writer.capture, "run", broken)
    with pytest.raises(ZeroDivisionError):
        writer.run_batch(jobs)

    assert all(isinstance(job.error, WritesStoppedError) for job in jobs)
    assert all(job.delivered for job in jobs)
    assert desk.log.last_offset == 2


def test_a_lock_that_another_process_holds_refuses_this_batch_only(
    desk: Desk, writer: BatchWriter
) -> None:
    desk.database.writer.set_busy_timeout(1)
    with locked_elsewhere(desk.database.path):
        (refused,) = done(writer, wanted((INSERT, (1,))))
    (taken,) = done(writer, wanted((INSERT, (1,))))

    assert isinstance(refused.error, DatabaseBusyError)
    assert isinstance(refused.error, TransactionError)
    assert taken.result.position.offset == 3


def test_rows_written_past_the_log_end_the_writing(
    desk: Desk, writer: BatchWriter
) -> None:
    elsewhere(desk.database.path, "insert into t(v) values ('foreign')")
    job = Job(wanted((INSERT, (1,))))
    with pytest.raises(ForeignWriteError):
        writer.run_batch([job])

    assert isinstance(job.error, WritesStoppedError)
    assert desk.log.last_offset == 2


def test_hard_case_10_an_id_is_done_once_and_answers_as_the_first_time(
    desk: Desk, writer: BatchWriter
) -> None:
    request = wanted((INSERT + " returning id, v", ("x",)), name="order-1")
    (first,) = done(writer, request)
    (again,) = done(writer, request)
    together = done(writer, *(wanted((INSERT, ("y",)), name="order-2") for _ in "ab"))

    assert again.result == first.result
    assert again.result.results[0].rows == [(1, "x")]
    assert together[0].result == together[1].result
    assert desk.rows("select v from t") == [("x",), ("y",)]
    assert desk.entries()[-1].transaction_id == "order-2"


def test_an_id_takes_an_offset_even_for_a_transaction_that_changed_nothing(
    desk: Desk, writer: BatchWriter
) -> None:
    (first,) = done(writer, wanted("delete from t", name="sweep"))
    done(writer, wanted((INSERT, (1,))))
    (again,) = done(writer, wanted("delete from t", name="sweep"))

    assert first.result.position.offset == 3
    assert again.result == first.result
    assert desk.rows("select count(*) from t") == [(1,)]


def test_a_refused_transaction_does_not_use_up_its_id(
    desk: Desk, writer: BatchWriter
) -> None:
    done(writer, wanted((INSERT, (1,))))
    (refused,) = done(writer, wanted((INSERT, (1,)), name="again"))
    done(writer, wanted("delete from t"))
    (taken,) = done(writer, wanted((INSERT, (1,)), name="again"))

    assert isinstance(refused.error, ConstraintError)
    assert taken.error is None
    assert desk.rows("select count(*) from t") == [(1,)]


def test_an_answer_too_large_to_keep_says_where_its_transaction_stands(
    desk: Desk, writer: BatchWriter
) -> None:
    request = wanted(
        (INSERT + " returning v", ("x" * STORED_ANSWER_LIMIT,)), name="large"
    )
    (first,) = done(writer, request)
    (again,) = done(writer, request)

    assert len(first.result.results[0].rows[0][0]) == STORED_ANSWER_LIMIT
    assert isinstance(again.error, TransactionError)
    assert "committed at offset 3" in str(again.error)
    assert desk.rows("select count(*) from t") == [(1,)]


def test_ids_outlive_a_restart_and_leave_with_the_entries_of_their_time(
    tmp_path: Path,
) -> None:
    desk = open_desk(tmp_path)
    writer = desk.writer()
    done(writer, wanted("create table t(id integer primary key, v unique)"))
    (first,) = done(writer, wanted((INSERT, (1,)), name="once"))
    desk.close()

    desk = open_desk(tmp_path)
    desk.database.set_mode_capturing()
    writer = BatchWriter(desk.database, desk.log, desk.hooks(), limit_bytes=1 << 20)
    writer.reign = REIGN
    (again,) = done(writer, wanted((INSERT, (1,)), name="once"))
    assert again.result == first.result

    assert desk.database.forget_answers_before(Offset(4)) == 1
    (anew,) = done(writer, wanted((INSERT, (2,)), name="once"))
    assert anew.result.position.offset == 4
    desk.close()


def test_a_mark_is_told_when_the_database_stands_exactly_there(
    desk: Desk, writer: BatchWriter
) -> None:
    assert writer.write_operations((mark(),)) == 3
    assert desk.marks == [3]
    assert desk.database.position.offset == 3


def test_a_client_learns_on_how_many_nodes_its_write_is_durable(
    desk: Desk, writer: BatchWriter
) -> None:
    desk.held_elsewhere = 2
    (job,) = done(writer, wanted((INSERT, (1,))))

    assert job.result.durable_on == 3
    assert job.result.outcome is Outcome.COMMITTED


def test_sqlite_commits_only_what_a_quorum_holds(tmp_path: Path) -> None:
    commitment = Commitment(PATIENCE_S)
    commitment.reached(Offset(2))
    desk = open_desk(tmp_path, commitment)
    writer = desk.writer()
    done(writer, wanted("create table t(id integer primary key, v unique)"))
    seen: list[list[tuple[int, ...]]] = []

    def acknowledge() -> None:
        while not (desk.stored and desk.stored[-1] == 3):
            stored.wait(0.001)
        seen.append(desk.rows("select count(*) from t"))
        commitment.reached(Offset(3))

    stored = threading.Event()
    quorum = threading.Thread(target=acknowledge)
    quorum.start()
    (job,) = done(writer, wanted((INSERT, (1,))))
    quorum.join(PATIENCE_S)

    assert seen == [[(0,)]]
    assert job.error is None
    assert desk.rows("select count(*) from t") == [(1,)]
    desk.close()


def test_the_end_of_a_reign_takes_back_what_waits_for_a_quorum(tmp_path: Path) -> None:
    commitment = Commitment(PATIENCE_S)
    commitment.reached(Offset(2))
    desk = open_desk(tmp_path, commitment)
    writer = desk.writer()
    done(writer, wanted("create table t(id integer primary key, v unique)"))
    commitment.end("deposed")
    job = Job(wanted((INSERT, (1,))))
    with pytest.raises(ReignEndedError):
        writer.run_batch([job])

    assert isinstance(job.error, OutcomeUnknownError)
    assert desk.rows("select count(*) from t") == [(0,)]
    assert desk.database.position.offset == 2
    assert not desk.database.writer.in_transaction
    desk.close()
