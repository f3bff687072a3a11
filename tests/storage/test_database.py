"""The database: positions, modes, readers, checkpoints and the schema's hash."""

import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from nexus.errors import (
    DatabaseBusyError,
    ForeignWriteError,
    ForkedError,
    NodeStoppedError,
    RefusedStatementError,
    StorageError,
)
from nexus.model.operation import Reigned
from nexus.model.position import ORIGIN, Epoch, HistoryId, Offset, Position, Reign
from nexus.storage.database import Database
from nexus.storage.schema.tables import hash_schema


def at(offset: int) -> Position:
    """The position of this entry."""
    return Position(Epoch(2), Offset(offset), HistoryId("cafe"))


def write(database: Database, sql: str, offset: int) -> None:
    """One entry's rows."""
    database.begin()
    database.writer.execute(sql)
    database.commit(at(offset))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "nexus.db")
    database.set_mode_capturing()
    yield database
    database.close()


def test_the_position_commits_with_the_rows(database: Database) -> None:
    assert database.position == ORIGIN

    write(database, "create table t(x)", 1)
    database.begin()
    database.writer.execute("insert into t values (1)")
    database.rollback()
    path = database.path
    database.close()
    again = Database.open(path)

    assert again.position == at(1)
    assert again.writer.execute("select count(*) from t").get == 0
    again.close()


def test_a_commit_without_a_position_keeps_the_one_before(database: Database) -> None:
    write(database, "create table t(x)", 1)

    database.begin()
    database.commit(None)

    assert database.position == at(1)


def test_rollback_is_harmless_when_sqlite_did_it_already(database: Database) -> None:
    database.begin()
    database.writer.execute("rollback")

    database.rollback()

    assert not database.writer.in_transaction


def test_the_file_is_in_wal_mode_and_checkpoints_are_the_nodes(
    database: Database,
) -> None:
    assert database.writer.pragma("journal_mode") == "wal"
    assert database.writer.pragma("wal_autocheckpoint") == 0
    assert database.writer.pragma("synchronous") == 1


def test_a_commit_that_sqlite_leaves_open_is_noticed(database: Database) -> None:
    """SQLite 3.54.1: a trigger on a shadow table fires while FTS4 flushes in COMMIT."""
    database.set_mode_applying()  # a client cannot make such a trigger
    database.writer.execute("create virtual table f using fts4(x)")
    write(database, "insert into f(rowid, x) values (9, 'a')", 1)
    write(database, "delete from f", 2)
    database.writer.execute(
        "create temp trigger x before insert on main.f_segdir when new.level is null "
        "begin select raise(abort, 'no'); end"
    )
    database.writer.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 1)

    with pytest.raises(StorageError, match="left its transaction open"):
        write(database, "insert into f(rowid, x) values (9, 'a'), (4, 'b')", 3)

    assert database.position == at(2)


def test_page_size_and_encoding_are_those_of_the_new_file(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "nexus.db", page_size=8192, encoding="UTF-16le")

    assert (database.page_size, database.encoding) == (8192, "UTF-16le")
    database.close()


def test_the_mode_decides_about_keys_and_triggers(database: Database) -> None:
    script = """
        create table p(id integer primary key);
        create table c(p references p);
        create table seen(x);
        create trigger t after insert on c begin insert into seen values (1); end
    """
    write(database, script, 1)

    database.set_mode_applying()
    write(database, "insert into c values (7)", 2)
    assert database.writer.execute("select count(*) from seen").get == 0

    database.set_mode_capturing()
    with pytest.raises(apsw.ConstraintError):
        write(database, "insert into c values (8)", 3)
    database.rollback()


def test_reigns_and_answers_are_kept_in_the_same_transaction(
    database: Database,
) -> None:
    reign = Reign(Epoch(2), HistoryId("cafe"), "n1", Offset(1), 5, "start")

    database.begin()
    database.keep_own(Reigned(reign), reign.first_offset)
    database.remember_answer("id-1", Offset(1), b"one")
    database.remember_answer("id-2", Offset(2), b"two")
    database.commit(at(2))

    assert database.history().reigns == (reign,)
    assert database.answer_of("id-1") == (1, b"one")
    assert database.answer_of("id-3") is None

    assert database.forget_answers_before(Offset(2)) == 1
    assert database.forget_answers_before(Offset(2)) == 0
    assert database.answer_of("id-1") is None
    assert database.answer_of("id-2") == (2, b"two")


def test_the_hash_knows_the_users_schema_and_nothing_else(database: Database) -> None:
    empty = database.schema_hash()
    write(database, "create table t(id integer primary key autoincrement, x)", 1)
    made = database.schema_hash()
    write(database, "create index i on t(x)", 2)
    indexed = database.schema_hash()
    write(database, "insert into t(x) values (1)", 3)
    write(database, "analyze", 4)

    assert len({empty, made, indexed}) == 3
    assert database.schema_hash() == indexed
    write(database, "drop index i", 5)
    assert database.schema_hash() == made


def test_the_hash_after_a_rollback_is_that_of_the_old_schema(
    database: Database,
) -> None:
    before = database.schema_hash()

    database.begin()
    database.writer.execute("create table a(x)")
    assert database.schema_hash() != before
    database.rollback()

    assert database.schema_hash() == before
    write(database, "create table b(x)", 1)
    assert database.schema_hash() == hash_schema(database.writer)


def test_readers_see_what_is_committed_and_cannot_write(database: Database) -> None:
    write(database, "create table t(x)", 1)
    write(database, "insert into t values (1)", 2)
    database.begin()
    database.writer.execute("insert into t values (2)")

    with database.reader() as reader:
        assert reader.execute("select count(*) from t").get == 1
        with pytest.raises(apsw.ReadOnlyError):
            reader.execute("delete from t")
    database.rollback()


def test_readers_are_refused_after_the_end(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "nexus.db")
    database.close()

    with pytest.raises(NodeStoppedError), database.reader():
        pass


def test_a_checkpoint_moves_everything_into_the_file(database: Database) -> None:
    write(database, "create table t(x)", 1)
    assert database.checkpointed_offset == 0

    assert database.checkpoint()

    assert database.checkpointed_offset == 1


def test_a_checkpoint_is_incomplete_while_a_reader_holds_an_old_snapshot(
    database: Database,
) -> None:
    write(database, "create table t(x)", 1)
    with database.reader() as reader:
        reader.execute("begin; select * from t").fetchall()
        write(database, "insert into t values (1)", 2)

        assert not database.checkpoint()
        assert database.checkpointed_offset == 0

        reader.execute("rollback")
    assert database.checkpoint()


def test_a_write_by_another_process_stops_the_next_transaction(
    database: Database,
) -> None:
    write(database, "create table t(x)", 1)
    script = (
        "import sqlite3; c = sqlite3.connect({path!r}); "
        "c.execute('insert into t values (9)'); c.commit()"
    )

    subprocess.run(
        [sys.executable, "-c", script.format(path=str(database.path))], check=True
    )

    for _ in range(2):  # it is not forgotten by having been told
        with pytest.raises(ForeignWriteError, match="no log and on no replica"):
            database.begin()
        assert not database.writer.in_transaction


@pytest.mark.parametrize("ended_by", ["rollback", "SQLite"])
def test_a_write_by_another_process_right_after_a_rollback_is_noticed(
    database: Database, ended_by: str
) -> None:
    write(database, "create table t(x)", 1)
    script = (
        "import sqlite3; c = sqlite3.connect({path!r}); "
        "c.execute('insert into t values (9)'); c.commit()"
    )

    def write_elsewhere() -> None:
        command = [sys.executable, "-c", script.format(path=str(database.path))]
        subprocess.run(command, check=True)

    database.begin()
    database.writer.execute("insert into t values (1)")
    database.writer.set_rollback_hook(write_elsewhere)
    if ended_by == "SQLite":
        with pytest.raises(apsw.ConstraintError):
            database.writer.execute(
                "insert or rollback into nexus_position values (2, 0, '', 0)"
            )
    database.rollback()
    database.writer.set_rollback_hook(None)

    for _ in range(2):
        with pytest.raises(ForeignWriteError, match="no log and on no replica"):
            database.begin()
        database.rollback()


def test_a_process_that_reads_the_file_disturbs_nothing(database: Database) -> None:
    write(database, "create table t(x)", 1)
    script = (
        "import sqlite3; c = sqlite3.connect({path!r}); "
        "print(c.execute('select count(*) from t').fetchone()[0]); c.close()"
    )

    for offset in range(2, 5):
        write(database, "insert into t values (1)", offset)
        found = subprocess.run(
            [sys.executable, "-c", script.format(path=str(database.path))],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert int(found) == offset - 1


def test_a_lock_held_elsewhere_is_told_as_what_it_is(database: Database) -> None:
    other = apsw.Connection(str(database.path))
    other.execute("begin immediate")
    database.writer.set_busy_timeout(1)

    with pytest.raises(DatabaseBusyError, match="holds the lock for writing"):
        database.begin()
    other.close()
    database.begin()
    database.rollback()


def use_in_child(database: Database, answers: "multiprocessing.Queue[str]") -> None:
    try:
        database.begin()
    except ForkedError as error:
        answers.put(str(error))
    database.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_refused_and_harms_nothing(database: Database) -> None:
    write(database, "create table t(x)", 1)
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[str] = context.Queue()

    child = context.Process(target=use_in_child, args=(database, answers))
    child.start()
    assert "after fork()" in answers.get(timeout=120)
    child.join()

    write(database, "insert into t values (1)", 2)
    assert database.position == at(2)


def test_vacuum_is_refused_while_rows_travel_by_rowid(database: Database) -> None:
    write(database, "create table t(id integer primary key); create table k(x)", 1)
    with pytest.raises(RefusedStatementError, match="rows of k anew"):
        database.vacuum()

    write(database, "drop table k", 2)
    database.vacuum()

    write(database, "insert into t values (1)", 3)
    assert database.position == at(3)


def test_reload_reads_what_another_database_left(database: Database) -> None:
    other = apsw.Connection(str(database.path))
    other.execute('update nexus_position set "offset" = 44')
    other.close()

    database.reload()

    assert database.position.offset == 44
    database.begin()
    database.rollback()


def test_a_file_that_is_no_database_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "nexus.db"
    path.write_bytes(b"no database at all, but long enough to have a header" * 20)

    with pytest.raises(StorageError, match=r"nexus\.db"):
        Database.open(path)


def test_what_the_file_is_like_can_be_asked_while_the_writer_is_at_work(
    database: Database,
) -> None:
    long = (
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < "
        "3000000) select count(*) from n"
    )
    working = threading.Thread(target=lambda: database.writer.execute(long).get)
    working.start()
    while working.is_alive():
        assert (database.page_size, database.encoding) == (4096, "UTF-8")
        assert database.position.offset == 0
