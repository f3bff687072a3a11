"""Changesets are read and written byte for byte."""

import math
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.storage.changesets.changes import (
    deletion,
    exactly,
    fetch_exactly,
    from_text,
    is_escaped,
    matching,
    place,
    read_changes,
    to_bind,
    write_changes,
)

VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(max_size=300),
    st.binary(max_size=300).map(from_text),
)

BAD = from_text(b"a\xff")


@pytest.fixture
def connection(connection: apsw.Connection) -> apsw.Connection:
    connection.execute(
        "create table t(k blob, l text, v, primary key(k, l)) without rowid;"
        "create table keyless(x)"
    )
    return connection


def record(connection: apsw.Connection, *statements: tuple[str, Any]) -> bytes:
    """The changeset of these statements."""
    session = apsw.Session(connection, "main")
    session.config(apsw.SQLITE_SESSION_OBJCONFIG_ROWID, 1)
    session.attach()
    for sql, params in statements:
        connection.execute(sql, params)
    changeset = session.changeset()
    session.close()
    return changeset


def test_the_three_kinds_of_change_are_read_with_their_keys(
    connection: apsw.Connection,
) -> None:
    connection.execute("insert into t values (1, 'a', 2), (2, 'b', 3)")

    changeset = record(
        connection,
        ("delete from t where k = 1", ()),
        ("update t set v = x'00' where k = 2", ()),
        ("insert into t values (3, 'c', null)", ()),
        ("insert into keyless values (1.5)", ()),
    )
    found = {(c.table, c.opcode): c for c in read_changes(changeset)}

    unchanged = apsw.no_change
    gone = found["t", apsw.SQLITE_DELETE]
    changed = found["t", apsw.SQLITE_UPDATE]
    assert (gone.old, gone.new, gone.key) == ((1, "a", 2), None, (1, "a"))
    assert changed.old == (2, "b", 3)
    assert changed.new == (unchanged, unchanged, b"\0")
    assert found["t", apsw.SQLITE_INSERT].new == (3, "c", None)
    assert found["keyless", apsw.SQLITE_INSERT].new == (1, 1.5)
    assert found["keyless", apsw.SQLITE_INSERT].key == (1,)


@given(value=VALUES)
def test_every_value_is_read_written_and_bound_as_it_is(value: Any) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("create table t(k integer primary key, v)")
    sql = f"insert into t values (1, {place(value)})"

    inserted = record(connection, (sql, (to_bind(value),)))
    (change,) = read_changes(inserted)
    removal = write_changes([deletion(change, change.row)])

    assert repr(change.new) == repr((1, value))
    assert repr(fetch_exactly(connection, ["v"], "from t")) == repr([(value,)])
    assert write_changes(read_changes(inserted)) == inserted
    assert removal == apsw.Changeset.invert(inserted)
    connection.close()


def test_changes_of_several_tables_are_written_under_their_own_headers(
    connection: apsw.Connection,
) -> None:
    changeset = record(
        connection,
        ("insert into t values (1, 'a', 1), (2, 'b', 2)", ()),
        ("insert into keyless values (1), (2)", ()),
    )

    written = write_changes(read_changes(changeset))

    assert written == changeset
    assert write_changes([]) == b""


def test_text_that_is_no_utf8_finds_its_row(connection: apsw.Connection) -> None:
    connection.execute("insert into t values (cast(x'61ff' as text), 'k', 1.5)")

    rest = f"from t where {matching(['k', 'l'], (BAD, 'k'))}"

    assert fetch_exactly(connection, ["k", "v"], rest, (BAD, "k")) == [(BAD, 1.5)]
    assert fetch_exactly(connection, ["k"], rest, ("A", "k")) == []
    assert connection.execute(f"select {exactly('k')} from t").get == ("text", b"a\xff")


@pytest.mark.parametrize(
    ("value", "escaped"),
    [(BAD, True), ("é", False), ("a", False), (b"\xff", False), (math.inf, False)],
)
def test_only_text_that_is_no_utf8_is_bound_as_a_blob(
    value: object, *, escaped: bool
) -> None:
    assert is_escaped(value) is escaped
    assert (to_bind(value) is value) is not escaped
