"""What one session after another says of a connection's changes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.model.operation import Rows
from nexus.storage.capturing.sessions import Sessions
from nexus.storage.changesets.changes import read_changes
from nexus.storage.database import Database
from nexus.storage.schema.tables import read_tables

SCHEMA = (
    "create table t(id integer primary key, v); create table u(id integer primary key)"
)
INSERT = "insert into t(v) values (hex(zeroblob(100)))"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "nexus.db")
    database.set_mode_capturing()
    database.writer.execute(SCHEMA)
    database.begin()
    yield database
    database.rollback()
    database.close()


@pytest.fixture
def sessions(database: Database) -> Iterator[Sessions]:
    """That know the tables; none is open."""
    found = Sessions(database)
    found.know(read_tables(database.writer), has_virtual=False)
    found.begin(())
    yield found
    found.drop()


def tables(rows: list[Rows]) -> list[str]:
    return [change.table for one in rows for change in read_changes(one.changeset)]


def test_what_is_changed_while_one_is_open_is_told_when_it_is_cut(
    database: Database, sessions: Sessions
) -> None:
    database.writer.execute(INSERT)
    sessions.open(())
    database.writer.execute("insert into t(v) values ('b')")
    database.writer.execute("insert into u values (1)")
    rows, size_bytes = sessions.cut(())
    database.writer.execute("insert into u values (2)")

    assert sorted(tables(rows)) == ["t", "u"]
    assert size_bytes == sum(len(one.changeset) for one in rows)
    assert sessions.cut(()) == ([], 0)


def test_of_named_tables_alone_if_some_are_named(
    database: Database, sessions: Sessions
) -> None:
    sessions.open((), only={"u"})
    database.writer.execute(INSERT)
    database.writer.execute("insert into u values (1)")

    assert tables(sessions.cut(())[0]) == ["u"]


def test_one_that_is_dropped_says_nothing(
    database: Database, sessions: Sessions
) -> None:
    sessions.open(())
    database.writer.execute(INSERT)

    sessions.drop()

    assert sessions.cut(()) == ([], 0)


def test_the_memory_of_the_open_one_grows_with_what_it_notes(
    database: Database, sessions: Sessions
) -> None:
    sessions.open(())
    before = sessions.size_bytes
    for _ in range(50):
        database.writer.execute(INSERT)
    grown = sessions.size_bytes
    sessions.cut(())

    assert grown - before > 50 * 200
    assert sessions.size_bytes == 0
