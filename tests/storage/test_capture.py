"""Every fact that capture must get right, shown on two databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.errors import (
    ConstraintError,
    NexusError,
    RefusedStatementError,
    StatementError,
    TransactionTooLargeError,
)
from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.storage.apply import Applier
from nexus.storage.capture import Capture
from nexus.storage.capturing.results import Captured, Statement
from nexus.storage.database import Database
from nexus.storage.fingerprint import fingerprint
from nexus.storage.schema.tables import read_tables


class Twins:
    """A master's database, a replica's, and the entries between them."""

    def __init__(self, directory: Path, limit_bytes: int = 64 << 20) -> None:
        self.master = Database.open(directory / "master.db")
        self.master.set_mode_capturing()
        self.replica = Database.open(directory / "replica.db")
        self.replica.set_mode_applying()
        self.capture = Capture(self.master, limit_bytes)
        self.records: list[Record] = []

    def run(self, *statements: str) -> Captured:
        """One transaction on the master; an entry if it changed something."""
        self.master.begin()
        try:
            captured = self.capture.run([Statement(sql) for sql in statements])
        except NexusError:
            if self.capture.outer_stands:
                self.master.commit(None)
            raise
        if not captured.operations:
            self.master.commit(None)
            return captured
        offset = Offset(len(self.records) + 1)
        self.master.commit(Position(Epoch(1), offset, HistoryId("")))
        payload = Payload(0, "", captured.schema_hash, captured.operations)
        self.records.append(Record(Epoch(1), offset, encode_payload(payload)))
        return captured

    def assert_equal(self) -> None:
        """Apply everything, merged, and compare every table."""
        Applier(self.replica).apply(self.records)
        assert self.replica.position.offset == len(self.records)
        found = [self._hashed(database) for database in (self.master, self.replica)]
        assert found[0] == found[1]

    @staticmethod
    def _hashed(database: Database) -> object:
        with database.reader() as reader:
            return fingerprint(reader)


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    twins = Twins(tmp_path)
    yield twins
    twins.master.close()
    twins.replica.close()


FACTS = {
    "keyless tables": (
        ("create table t(a, b)",),
        ("insert into t values (1, 2), (1, 2)",),
        ("update t set b = 3 where rowid = 1", "delete from t where rowid = 2"),
    ),
    "without rowid, strict, generated": (
        ("create table t(k text primary key, v int) strict, without rowid",),
        ("create table g(id integer primary key, a int, b as (a * 2) stored)",),
        ("insert into t values ('x', 1)", "insert into g(a) values (4)"),
        ("replace into t values ('x', 2)", "update g set a = 5"),
    ),
    "keys that change and swap": (
        ("create table t(k int primary key not null, u unique)",),
        ("insert into t values (1, 'a'), (2, 'b')",),
        ("update t set k = k + 10", "update t set u = 'c' where k = 11"),
        ("update t set u = 'a' where k = 12", "update t set u = 'b' where k = 11"),
    ),
    "a key respelled under nocase": (
        ("create table t(k text collate nocase primary key, v)",),
        ("insert into t values ('A', 1)",),
        ("update t set k = 'a'",),
        ("replace into t values ('A', 3)",),
        ("delete from t", "insert into t values ('a', 4)"),
    ),
    "a key from 1 to 1.0": (
        ("create table t(k blob primary key, v)",),
        ("insert into t values (1, 'x')",),
        ("update t set k = 1.0",),
    ),
    "the least integer as a key that becomes a real": (
        ("create table t(k int, l int, v, primary key(k, l))",),
        ("insert into t values (-9223372036854775807 - 1, 0, 'x')",),
        ("update t set k = k - 1",),
        ("update t set k = cast(k as int)", "delete from t where v = 'y'"),
    ),
    "text that is no UTF-8, in keys that compare equal": (
        (
            "create table t(k text collate nocase primary key, v unique "
            "on conflict replace, w)",
            "create table r(k blob primary key, v)",
        ),
        (
            "insert into t values (cast(x'61ff' as text), cast(x'fe' as text), 1)",
            "insert into r values (1, cast(x'ff' as text)), (cast(x'fd' as text), 2)",
        ),
        ("update t set k = upper(k), w = 2", "update r set k = k + 0.0 where v <> 2"),
        ("update t set v = 3", "update t set v = cast(x'c3' as text)"),
        ("savepoint a", "update t set k = lower(k)", "update t set k = upper(k)"),
        ("delete from t", "delete from r"),
    ),
    "zero and negative zero": (
        ("create table t(id integer primary key, v)",),
        ("create table c(id int primary key, v unique on conflict ignore)",),
        ("insert into t values (1, 0.0)", "insert into c values (1, 0.0)"),
        ("update t set v = 0.0 * -1", "update c set v = 0.0 * -1"),
        ("update t set v = 2.0", "update c set v = 2.0 where v = 0"),
    ),
    "cascades and triggers": (
        ("pragma user_version = 3", "pragma application_id = 77"),
        (
            "create table p(id integer primary key)",
            "create table c(id integer primary key, p references p on delete cascade)",
            "create table seen(what)",
            "create trigger x after delete on c begin "
            "insert into seen values (old.id); end",
        ),
        ("insert into p values (1), (2)", "insert into c values (7, 1), (8, 2)"),
        ("delete from p where id = 1",),
        ("drop table p",),
    ),
    "autoincrement counters": (
        ("create table t(id integer primary key autoincrement, v)",),
        ("insert into t(v) values (1), (2)",),
        ("delete from t",),
        ("insert into t(v) values (3)",),
        ("drop table t",),
    ),
    "fts5 and r-tree": (
        ("create virtual table f using fts5(body)",),
        ("create virtual table r using rtree(id, x0, x1)",),
        ("insert into f values ('one two')", "insert into r values (1, 0, 1)"),
        ("insert into f values ('two three')", "delete from f where rowid = 1"),
    ),
    "fts4 that flushes within COMMIT": (
        ("create virtual table f using fts4(body)",),
        ("insert into f(rowid, body) values (9, 'one two')",),
        ("delete from f",),
        (
            "insert into f(rowid, body) values (9, 'one two')",
            "insert into f(rowid, body) values (4, 'three')",
        ),
    ),
    "tables made from queries": (
        ("create table t as select random() as r, 5 as five",),
        ("create table if not exists t as select 9",),
        ("alter table t add column z default 7", "update t set z = 8"),
        ("alter table t rename column z to y", "alter table t drop column five"),
    ),
    "savepoints taken back": (
        ("create table t(id integer primary key)",),
        (
            "insert into t values (1)",
            "savepoint a",
            "insert into t values (2)",
            "create table gone(x)",
            "rollback to a",
            "insert into t values (3)",
            "release a",
        ),
        (
            "savepoint nexus_transaction",
            "insert into t values (4)",
            "release nexus_transaction",
        ),
    ),
    "odd identifiers": (
        ('create table "a ""b"" c"("select" integer primary key, [x y])',),
        ('insert into "a ""b"" c" values (1, 2)',),
    ),
    "analyze stays local": (
        ("create table t(id integer primary key, v)", "create index i on t(v)"),
        ("insert into t(v) values (1)",),
        ("analyze",),
        ("insert into t(v) values (2)",),
    ),
}


@pytest.mark.parametrize("fact", FACTS)
def test_a_replica_gets_exactly_what_the_master_did(fact: str, twins: Twins) -> None:
    for transaction in FACTS[fact]:
        twins.run(*transaction)

    twins.assert_equal()


@pytest.mark.parametrize(
    ("setup", "sql", "reason"),
    [
        ("", "create temp table t(x)", "temporary"),
        ("", "attach 'x' as y", "past the log"),
        ("", "vacuum", "only statement"),
        ("", "begin", "one transaction already"),
        ("", "pragma journal_mode = delete", "WAL"),
        ("", "pragma writable_schema = 1", "ALTER TABLE"),
        ("", "create table nexus_mine(x)", "nexus_"),
        ("", "update nexus_position set epoch = 9", "nexus_"),
        ("", "select 1; select 2", "more than one"),
        ("", "create table t(_rowid_ int)", "_rowid_"),
        (
            "create table d(k text primary key, body)",
            "create virtual table f using fts5(body, content='d')",
            "INTEGER PRIMARY KEY",
        ),
        (
            "create table d(k text primary key, body)",
            "create view v as select rowid from d",
            "INTEGER PRIMARY KEY",
        ),
    ],
)
def test_what_cannot_be_carried_is_refused_with_the_reason(
    setup: str, sql: str, reason: str, twins: Twins
) -> None:
    if setup:
        twins.run(setup)

    with pytest.raises(RefusedStatementError, match=reason):
        twins.run(sql)
    twins.assert_equal()


@pytest.mark.parametrize(
    "sql",
    [
        "delete from f_segdir",
        "create trigger x after insert on f_segdir begin select 1; end",
        "drop table f_content",
    ],
)
def test_what_a_virtual_table_keeps_for_itself_is_not_for_clients(
    sql: str, twins: Twins
) -> None:
    twins.run("create virtual table f using fts4(body)", "insert into f values ('a')")

    with pytest.raises(StatementError, match=r"shadow|may not be (modified|dropped)"):
        twins.run(sql)
    twins.assert_equal()


def test_a_null_key_is_refused_with_the_tables_name(twins: Twins) -> None:
    twins.run("create table t(k text primary key, v)")
    twins.run("alter table t rename to other", "create table t(k text primary key)")

    for table in ("t", "other"):
        with pytest.raises(ConstraintError, match=f"table {table} "):
            twins.run(f"insert into {table}(k) values (null)")
    twins.assert_equal()


def test_tables_that_differ_beyond_ascii_alone_are_two(twins: Twins) -> None:
    twins.run('create table "Ä"(id integer primary key, b, c)')
    twins.run('create table "ä"(k text primary key, v)')

    with pytest.raises(ConstraintError, match="table ä "):
        twins.run('insert into "ä" values (null, 1)')
    twins.run("""insert into "ä" values ('x', 1)""", 'insert into "Ä" values (1, 2, 3)')
    twins.run('drop table "Ä"')

    assert read_tables(twins.master.writer).keys() == {"ä"}
    twins.assert_equal()


def test_an_error_names_its_statement_and_leaves_no_trace(twins: Twins) -> None:
    twins.run("create table t(id integer primary key)")

    with pytest.raises(ConstraintError, match=r"UNIQUE.*t\.id") as caught:
        twins.run("insert into t values (1)", "insert into t values (1)")
    with pytest.raises(StatementError, match="syntax error"):
        twins.run("selec 1")

    assert caught.value.index == 1
    assert twins.run("select count(*) from t").results[0].rows == [(0,)]


def test_a_missing_named_parameter_is_the_clients_error(twins: Twins) -> None:
    twins.run("create table t(a)")
    twins.master.begin()

    with pytest.raises(StatementError, match="missing"):
        twins.capture.run([Statement("insert into t values (:a)", {"z": 1})])
    twins.master.commit(None)


def test_counters_are_known_after_a_schema_that_was_taken_back(twins: Twins) -> None:
    twins.run("create table t(id integer primary key autoincrement)")
    twins.run("insert into t default values")

    with pytest.raises(StatementError):
        twins.run("create table u(x)", "syntax error")
    twins.run("delete from sqlite_sequence")
    twins.assert_equal()


def test_a_deferred_foreign_key_fails_its_own_transaction_only(twins: Twins) -> None:
    twins.run(
        "create table p(id integer primary key)",
        "create table c(p references p deferrable initially deferred)",
    )

    with pytest.raises(ConstraintError, match="FOREIGN KEY"):
        twins.run("insert into c values (9)")
    twins.run("insert into c values (1)", "insert into p values (1)")
    twins.assert_equal()


def test_a_statement_that_rolls_everything_back_is_noticed(twins: Twins) -> None:
    twins.run("create table t(id integer primary key)", "insert into t values (1)")

    with pytest.raises(ConstraintError):
        twins.run("insert or rollback into t values (1)")

    assert not twins.capture.outer_stands
    twins.run("insert into t values (2)")
    twins.assert_equal()


def test_an_oversized_transaction_is_refused_while_it_grows(tmp_path: Path) -> None:
    twins = Twins(tmp_path, limit_bytes=100_000)
    twins.run("create table t(id integer primary key, v)")

    with pytest.raises(TransactionTooLargeError, match="limit is 100000"):
        twins.run(
            "insert into t(v) with recursive n(i) as (select 1 union all "
            "select i + 1 from n where i < 1000000) select randomblob(100) from n"
        )

    assert twins.run("select count(*) from t").results[0].rows == [(0,)]
    twins.run("insert into t values (1, 2)")
    twins.assert_equal()
    twins.master.close()
    twins.replica.close()


def test_a_virtual_table_taken_back_takes_the_batch_back_and_not_the_node(
    twins: Twins,
) -> None:
    capture = twins.capture
    twins.master.begin()
    capture.begin()
    capture.execute(Statement("create virtual table words using fts5(word)"))
    capture.execute(Statement("insert into words values ('lost')"))

    capture.abandon()

    assert not capture.outer_stands, "COMMIT would fail for everybody"
    capture.forget()
    twins.run("create table t(a integer primary key)", "insert into t values (1)")
    twins.assert_equal()


def test_rolling_back_to_before_a_virtual_table_ends_the_transaction(
    twins: Twins,
) -> None:
    capture = twins.capture
    twins.master.begin()

    with pytest.raises(StatementError, match="in a transaction of its own") as caught:
        capture.run(
            [
                Statement("savepoint here"),
                Statement("create virtual table words using fts5(word)"),
                Statement("insert into words values ('lost')"),
                Statement("rollback to here"),
            ]
        )

    assert caught.value.index == 3
    assert not capture.outer_stands
    capture.forget()
    twins.run("create virtual table words using fts5(word)")
    twins.assert_equal()


class GivenUp:
    """Somebody who does not wait any more."""

    cancelled = True


def test_a_statement_that_is_given_up_is_interrupted_and_taken_back(
    twins: Twins,
) -> None:
    twins.run("create table t(v)")
    many = (
        "insert into t with recursive n(i) as "
        "(select 1 union all select i + 1 from n limit 50000) select i from n"
    )
    for _ in range(20):  # what takes it back is in a cache, and counts its steps too
        twins.capture.watched = GivenUp()
        with pytest.raises(StatementError, match="interrupted"):
            twins.run(many)
        twins.capture.watched = None

    twins.run("insert into t values (1)")

    twins.assert_equal()
    rows = twins.master.writer.execute("select count(*) from t").fetchall()
    assert rows == [(1,)]
