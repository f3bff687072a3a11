"""What the pre-update hook carries is what a session would have carried."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.errors import ConstraintError
from nexus.model.operation import Rows
from nexus.storage.capture import Capture
from nexus.storage.capturing.preupdate import MOST_BYTES, MOST_ROWS
from nexus.storage.capturing.results import Captured, Statement
from nexus.storage.changesets.changes import read_changes
from nexus.storage.database import Database
from storage.pair import Pair, content, rows

SESSION = Statement("")
"""Nothing; but a transaction with it in is no small one."""

SCHEMA = (
    "create table parent(id integer primary key, name text unique, weight real, any)",
    "create table child(id integer primary key autoincrement, parent integer "
    "references parent(id) on delete cascade on update set null, note blob)",
    "create table seen(id integer primary key, what)",
    "create trigger watch after update on parent begin "
    "insert into seen(what) values (old.name || new.name); end",
    "insert into parent values (1, 'one', 1, null), (2, 'two', 2.5, x'00')",
    "insert into child values (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c')",
    "alter table parent add column late text default 'later'",
)

MANY = (
    "with recursive n(i) as (values (1) union all select i + 1 from n "
    f"where i <= {MOST_ROWS}) insert into t(x) select i from n"
)

IDS = st.integers(1, 4)
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=True).filter(lambda x: x != 0),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.binary(max_size=200),
)


def statement(sql: str, *params: st.SearchStrategy[Any]) -> Any:
    return st.tuples(*params).map(lambda values: Statement(sql, values))


STATEMENTS = st.one_of(
    statement(
        "insert or replace into parent values (?, ?, ?, ?, ?)", IDS, *[VALUES] * 4
    ),
    statement("insert or ignore into child values (?, ?, ?)", IDS, IDS, VALUES),
    statement(
        "update parent set name = ?, weight = ? where id = ?", VALUES, VALUES, IDS
    ),
    statement("update or ignore parent set id = ? where id = ?", IDS, IDS),
    statement("update parent set weight = weight"),
    statement("update or replace parent set name = ? where id = ?", VALUES, IDS),
    statement("insert or replace into parent(name) values ('one')"),
    statement("delete from parent where id = ?", IDS),
    statement("delete from child"),
    statement("insert into seen(what) values (?)", VALUES),
    statement(
        "insert into parent(id, any) values (?, ?) on conflict (id) "
        "do update set any = excluded.any",
        IDS,
        VALUES,
    ),
)


@contextmanager
def captures(*schema: str) -> Iterator[Capture]:
    """A master's capture with this schema."""
    with TemporaryDirectory() as directory:
        database = Database.open(Path(directory) / "master.db")
        database.set_mode_capturing()
        try:
            capture = Capture(database, 64 << 20)
            database.begin()
            for sql in schema:
                capture.run([Statement(sql)])
            database.commit(None)
            database.begin()
            yield capture
        finally:
            database.close()


def changes(captured: Captured) -> list[tuple[Any, ...]]:
    """Every row's change, in an order of its own."""
    found = [
        (c.table, c.opcode, c.indirect, c.key_columns, repr(c.old), repr(c.new))
        for operation in captured.operations
        if isinstance(operation, Rows)
        for c in read_changes(operation.changeset)
    ]
    return sorted(found)


@given(st.lists(STATEMENTS, min_size=1, max_size=8))
def test_hook_and_session_see_the_same_changes(statements: list[Statement]) -> None:
    with captures(*SCHEMA) as watched, captures(*SCHEMA) as session:
        small = _outcome(watched, statements)
        large = _outcome(session, [*statements, SESSION])
    assert small == large


def _outcome(capture: Capture, statements: list[Statement]) -> Any:
    try:
        return changes(capture.run(statements))
    except ConstraintError as error:
        return str(error)


@pytest.mark.parametrize(
    ("schema", "sql"),
    [
        (
            "create table t(id integer primary key, x)",
            MANY,
        ),
        (
            "create table t(id integer primary key, x)",
            f"insert into t(x) values (zeroblob({MOST_BYTES + 1}))",
        ),
        (
            "create table t(id integer primary key, x)",
            "insert into t(x) values (cast(x'61ff' as text))",
        ),
        ("create table t(x)", "insert into t values (1)"),
        ("create table t(k text primary key, x)", "insert into t values ('a', 1)"),
        (
            "create table t(k text primary key) without rowid",
            "insert into t values (1)",
        ),
        (
            "create table t(id integer primary key, x, y as (x + 1))",
            "insert into t(x) values (1)",
        ),
    ],
    ids=[
        "many",
        "large",
        "no-utf8",
        "keyless",
        "text-key",
        "without-rowid",
        "generated",
    ],
)
def test_what_is_not_small_or_odd_is_carried_all_the_same(
    tmp_path: Path, schema: str, sql: str
) -> None:
    with Pair(tmp_path) as pair:
        pair.write(schema)
        for _ in range(2):
            pair.write("delete from t", sql)
            pair.apply()
            assert content(pair.master) == content(pair.replica)


def test_a_transaction_done_again_counts_once(tmp_path: Path) -> None:
    with Pair(tmp_path) as pair:
        pair.write("create table t(id integer primary key autoincrement, x)")
        captured = pair.write(MANY)

        assert captured.results[0].rows_affected == MOST_ROWS + 1
        assert captured.results[0].last_insert_rowid == MOST_ROWS + 1
        assert rows(pair.master, "select max(id), count(*) from t") == [(129, 129)]


def test_what_ends_as_it_began_takes_no_offset(tmp_path: Path) -> None:
    with Pair(tmp_path) as pair:
        pair.write("create table t(id integer primary key, x)")
        pair.write("insert into t values (1, 'a')")

        captured = pair.write(
            "insert into t values (2, 'b')",
            "delete from t where id = 2",
            "update t set x = 'b'",
            "insert or replace into t values (1, 'a')",
        )

        assert captured.operations == ()


def test_a_failed_statement_leaves_nothing_to_the_next_transaction() -> None:
    with captures("create table t(id integer primary key, x unique)") as capture:
        capture.run([Statement("insert into t values (1, 1)")])
        with pytest.raises(ConstraintError):
            capture.run(
                [
                    Statement("insert into t values (2, 2)"),
                    Statement("insert into t values (3, 1)"),
                ]
            )
        captured = capture.run([Statement("insert into t values (4, 4)")])
    assert [change[5] for change in changes(captured)] == ["(4, 4)"]
