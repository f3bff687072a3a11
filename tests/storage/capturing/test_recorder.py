"""What one transaction did, cut wherever order matters."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw
import pytest

from nexus.errors import RefusedStatementError
from nexus.model.operation import Operation, Pragma, Rows, Schema
from nexus.model.operation import Sequence as SequenceMove
from nexus.storage.capturing.preupdate import NotSmallError
from nexus.storage.capturing.recorder import Recorder
from nexus.storage.changesets.changes import read_changes
from nexus.storage.database import Database

SCHEMA = (
    "create table t(id integer primary key, v); "
    "create table c(id integer primary key autoincrement, t references t "
    "on delete cascade); insert into t values (1, 'a'), (2, 'b')"
)

KINDS = {
    apsw.SQLITE_INSERT: "INSERT",
    apsw.SQLITE_UPDATE: "UPDATE",
    apsw.SQLITE_DELETE: "DELETE",
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "nexus.db")
    database.set_mode_capturing()
    database.writer.execute(SCHEMA)
    yield database
    database.close()


@pytest.fixture
def recorder(database: Database) -> Iterator[Recorder]:
    """One that records already."""
    database.begin()
    recorder = Recorder(database)
    recorder.begin()
    yield recorder
    recorder.drop(everything=True)
    database.rollback()


def told(operations: Sequence[Operation]) -> list[object]:
    """Schema statements as their text, rows as their table and kind, the rest as is."""
    found: list[object] = []
    for operation in operations:
        if isinstance(operation, Schema):
            found.append(operation.sql)
        elif isinstance(operation, Rows):
            changes = read_changes(operation.changeset)
            kinds = {f"{KINDS[change.opcode]} {change.table}" for change in changes}
            found.append(sorted(kinds))
        else:
            found.append(operation)
    return found


def test_a_schema_statement_cuts_the_rows_before_it_from_those_after_it(
    database: Database, recorder: Recorder
) -> None:
    database.writer.execute("update t set v = 'x' where id = 1")
    recorder.run_schema("alter table t add column w", ())
    database.writer.execute("update t set w = 1 where id = 1")
    recorder.run_schema("create index i on t(w)", ())

    assert told(recorder.finish()) == [
        ["UPDATE t"],
        "alter table t add column w",
        ["UPDATE t"],
        "create index i on t(w)",
    ]


def test_a_schema_statement_that_does_nothing_says_nothing(recorder: Recorder) -> None:
    recorder.run_schema("create table if not exists t(x)", ())
    recorder.run_schema("drop table if exists missing", ())

    assert recorder.finish() == ()


def test_a_schema_statement_is_told_after_one_of_its_version_was_taken_back(
    database: Database, recorder: Recorder
) -> None:
    recorder.finish()
    recorder.begin()
    database.writer.execute("savepoint client")
    recorder.run_schema("alter table t rename column v to v", ())
    recorder.drop()
    database.writer.execute("rollback to client")
    recorder.begin()

    recorder.run_schema("alter table t add column w", ())

    assert told(recorder.finish()) == ["alter table t add column w"]


def test_a_schema_statement_that_fails_leaves_the_rest_as_it_was(
    database: Database, recorder: Recorder
) -> None:
    database.writer.execute("delete from t where id = 1")
    with pytest.raises(apsw.SQLError, match="already exists"):
        recorder.run_schema("create table t(x)", ())
    with pytest.raises(RefusedStatementError, match="is reserved"):
        recorder.run_schema("alter table t rename to nexus_t", ())
    database.writer.execute("delete from t where id = 2")

    assert told(recorder.finish()) == [["DELETE t"], ["DELETE t"]]


def test_what_a_dropped_table_deletes_elsewhere_is_told_before_it_goes(
    database: Database, recorder: Recorder
) -> None:
    database.writer.execute("insert into c(t) values (1)")
    recorder.run_schema("drop table t", ())

    assert told(recorder.finish()) == [
        ["INSERT c"],
        ["DELETE c"],
        "drop table t",
        SequenceMove("c", None, 1),
    ]


def test_a_table_that_is_made_of_a_query_is_told_as_its_rows(
    database: Database, recorder: Recorder
) -> None:
    recorder.run_schema('create table "made of" as select random() as r, ? as p', (7,))

    created, rows = told(recorder.finish())

    assert created == 'CREATE TABLE "made of"(r,p)'
    assert rows == ["INSERT made of"]
    assert database.writer.execute('select p from "made of"').get == 7
    assert not database.writer.execute("select 1 from temp.sqlite_schema").fetchall()


def test_a_query_into_a_table_that_stands_makes_nothing(
    database: Database, recorder: Recorder
) -> None:
    recorder.run_schema("create table if not exists t as select 1", ())
    with pytest.raises(apsw.SQLError, match="already exists"):
        recorder.run_schema("create table t as select 1", ())

    assert recorder.finish() == ()
    assert database.writer.execute("select count(*) from t").get == 2


def test_settings_kept_in_the_file_are_operations_if_they_change(
    recorder: Recorder,
) -> None:
    assert recorder.run_pragma("pragma user_version = 3") == ([], [])
    recorder.run_pragma("pragma user_version = 3")
    recorder.run_pragma("pragma application_id = -1")
    assert recorder.run_pragma("pragma user_version")[1] == [(3,)]
    assert recorder.run_pragma("pragma foreign_keys = on")[1] == [(1,)]
    assert recorder.run_pragma("pragma main.table_info(t)")[1][0][1] == "id"

    assert recorder.finish() == (
        Pragma("user_version", 0, 3),
        Pragma("application_id", 0, -1),
    )


def test_a_deferral_ends_with_its_transaction(
    database: Database, recorder: Recorder
) -> None:
    recorder.run_pragma("pragma defer_foreign_keys = on")
    assert database.writer.pragma("defer_foreign_keys") == 1

    assert recorder.finish() == ()

    assert database.writer.pragma("defer_foreign_keys") == 0


def test_what_concerns_this_node_alone_says_nothing(
    database: Database, recorder: Recorder
) -> None:
    recorder.run_locally("analyze")
    recorder.run_locally("reindex")

    assert recorder.finish() == ()
    assert database.writer.execute("select count(*) from sqlite_stat1").get > 0


def test_hard_case_7_going_back_to_a_savepoint_drops_what_was_recorded_since(
    database: Database, recorder: Recorder
) -> None:
    writer = database.writer
    writer.execute("insert into t values (3, 'c')")
    recorder.mark(1)
    writer.execute("savepoint one")
    size = recorder.size_bytes
    writer.execute("delete from t")
    recorder.run_schema("create table u(x)", ())
    assert not recorder.made_virtual_since(1)
    recorder.run_schema("create virtual table f using fts5(x)", ())
    assert recorder.made_virtual_since(1)
    assert recorder.size_bytes > size

    recorder.back_to(1)
    writer.execute("rollback to one")
    recorder.resume()
    writer.execute("update t set v = 'z' where id = 3")

    assert told(recorder.finish()) == [["INSERT t"], ["UPDATE t"]]


def test_what_is_dropped_is_not_in_the_next_transaction(
    database: Database, recorder: Recorder
) -> None:
    writer = database.writer
    writer.execute("savepoint taken_back")
    writer.execute("insert into c(t) values (1)")
    recorder.run_schema("alter table t add column w", ())
    recorder.drop()
    writer.execute("rollback to taken_back")

    recorder.begin()
    writer.execute("update t set v = 'y' where id = 1")

    assert told(recorder.finish()) == [["UPDATE t"]]


def test_nexus_own_tables_and_statistics_are_no_rows_of_the_users(
    database: Database, recorder: Recorder
) -> None:
    database.remember_answer("id", database.position.offset, b"x")
    recorder.run_locally("analyze")
    database.writer.execute("update sqlite_stat1 set stat = '9'")

    assert recorder.finish() == ()


def test_a_small_transaction_says_the_same_as_a_session_would(
    database: Database,
) -> None:
    found = []
    for small in (False, True):
        database.begin()
        recorder = Recorder(database)
        recorder.begin(small=small)
        database.writer.execute("update t set v = 'x' where id = 1")
        database.writer.execute("insert into t values (9, null)")
        database.writer.execute("delete from t where id = 2")
        found.append(recorder.finish())
        database.rollback()

    assert told(found[0]) == told(found[1])
    assert [len(operations) for operations in found] == [1, 1]


def test_a_transaction_that_proves_large_is_to_be_done_again(
    database: Database,
) -> None:
    database.writer.execute("create table keyless(a)")
    database.begin()
    recorder = Recorder(database)
    recorder.begin(small=True)
    database.writer.execute("insert into keyless values (1)")

    with pytest.raises(NotSmallError):
        recorder.finish()
    recorder.drop()
    database.rollback()
