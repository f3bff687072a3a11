"""Whether a database stands, who makes it how, and who has it alone."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest

from nexus.errors import (
    DatabaseBusyError,
    DiskFullError,
    NoDatabaseError,
    StorageError,
)
from nexus.model.position import ORIGIN, EpochHistory
from nexus.storage.database import Database
from nexus.storage.sqlite import connections
from nexus.storage.sqlite.connections import stands
from node.builders import locked_elsewhere, open_elsewhere
from storage.logs import file_size_limit
from storage.snapshotting import contents, fill, generation_of


@contextmanager
def expected(path: Path) -> Iterator[Database]:
    """A database that stands, or is to come."""
    database = Database.expect(path)
    try:
        yield database
    finally:
        database.close()


def test_one_that_is_to_come_has_no_file_and_says_so(tmp_path: Path) -> None:
    with expected(tmp_path / "a.db") as database:
        assert not database.stands
        assert (database.position, database.history()) == (ORIGIN, EpochHistory())
        assert (database.page_size, database.encoding) == (4096, "UTF-8")
        assert database.checkpoint() is True
        for borrow in (database.reader, database.extra_reader):
            with pytest.raises(NoDatabaseError, match="has no database yet"):
                borrow()
        with pytest.raises(NoDatabaseError, match="first snapshot or entry"):
            database.begin()

    assert contents(tmp_path) == []


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be", "UTF-8"])
@pytest.mark.parametrize("page_size", [512, 65536])
def test_it_is_made_as_it_is_told_and_stays_so(
    tmp_path: Path, page_size: int, encoding: str
) -> None:
    path = tmp_path / "a.db"
    with expected(path) as database:
        database.set_mode_applying()
        database.open_writer(page_size=page_size, encoding=encoding)
        enforces = database.writer.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, -1)

        assert not enforces
        assert (database.page_size, database.encoding) == (page_size, encoding)
        fill(database, generation=1)
    with expected(path) as database:
        assert (database.page_size, database.encoding) == (page_size, encoding)
        assert generation_of(database.writer) == 1


def test_an_empty_file_is_no_database_yet(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.touch()
    with expected(path) as database:
        assert not database.stands
        database.open_writer(page_size=8192)
        assert (database.stands, database.page_size) == (True, 8192)


def test_what_finds_no_room_to_be_made_is_made_later(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with expected(path) as database:
        with file_size_limit(5_000), pytest.raises(StorageError, match="cannot make"):
            database.open_writer(encoding="UTF-16le")
        assert not database.stands
        assert not stands(path)

        database.open_writer(encoding="UTF-16le")
        assert (database.stands, database.encoding) == (True, "UTF-16le")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"not a database " * 100)

    with pytest.raises(StorageError, match=r"cannot open .*a\.db: .*nexus restore"):
        Database.expect(path)


@pytest.mark.interpreted
def test_a_disk_that_is_full_is_told_as_such_where_sqlite_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    Database.open(path).close()
    free = 0
    usage = SimpleNamespace

    def fails(*_: object) -> None:
        raise apsw.IOError("disk I/O error")

    monkeypatch.setattr("nexus.storage.sqlite.access.columns.begin", fails)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(free=free))

    with pytest.raises(DiskFullError, match="the disk is full; free some space"):
        Database.open(path)

    free = 1 << 20
    with pytest.raises(StorageError, match="disk I/O error"):
        Database.open(path)


# --- Alone with the file --------------------------------------------------------------


def test_whoever_has_read_elsewhere_is_in_the_way_until_he_is_gone(
    tmp_path: Path,
) -> None:
    with closing(Database.open(tmp_path / "a.db")) as database:
        fill(database, generation=1)
        with (
            open_elsewhere(database.path),
            pytest.raises(DatabaseBusyError, match="fuser"),
            database.alone(),
        ):
            pass
        assert generation_of(database.writer) == 1
        fill(database, generation=2)

        with database.alone() as writer:
            assert writer.pragma("journal_mode") == "delete"
        assert database.writer.pragma("journal_mode") == "wal"
        fill(database, generation=3)
        with database.reader() as reader:
            assert generation_of(reader) == 3


def test_nobody_gets_in_while_one_is_alone_with_it(tmp_path: Path) -> None:
    with closing(Database.open(tmp_path / "a.db")) as database:
        fill(database, generation=1)
        with (
            database.alone(),
            pytest.raises(AssertionError, match="cannot lock"),
            locked_elsewhere(database.path),
        ):
            pass

        with locked_elsewhere(database.path):
            assert generation_of(database.writer) == 1


def test_a_query_of_this_node_is_waited_for_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_TIMEOUT_MS", 20)
    with closing(Database.open(tmp_path / "a.db", readers=2)) as database:
        fill(database, generation=1)
        with (
            database.reader() as reader,
            pytest.raises(DatabaseBusyError, match="a query on"),
            database.alone(),
        ):
            pass
        assert generation_of(reader) == 1

        with database.alone():
            pass
        with database.reader() as one, database.reader() as other:
            assert generation_of(one) == generation_of(other) == 1
