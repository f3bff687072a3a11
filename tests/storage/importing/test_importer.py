"""An existing database becomes a node's, as it was."""

import os
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from nexus.errors import StorageError
from nexus.model.position import Offset, Position
from nexus.storage.database import Database
from nexus.storage.directory import DataDirectory
from nexus.storage.importing.importer import import_database


def made(path: Path, *statements: str) -> Path:
    """A database of somebody's own."""
    with closing(apsw.Connection(str(path))) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def test_rows_and_settings_of_the_file_are_kept(tmp_path: Path) -> None:
    source = made(
        tmp_path / "shop.sqlite",
        "pragma page_size = 8192",
        "pragma encoding = 'UTF-16le'",
        "pragma user_version = 7",
        "pragma application_id = 99",
        "create table t(id integer primary key autoincrement, word)",
        "insert into t values (41, 'é')",
        "delete from t",
        "insert into t(word) values ('left')",
    )

    import_database(source, DataDirectory(tmp_path / "data"))

    database = Database.open(tmp_path / "data" / "nexus.db")
    try:
        assert (database.page_size, database.encoding) == (8192, "UTF-16le")
        assert database.writer.pragma("user_version") == 7
        assert database.writer.pragma("application_id") == 99
        found = database.writer.execute("select * from t").fetchall()
        assert found == [(42, "left")]
    finally:
        database.close()


def test_the_rows_stand_at_an_entry_that_no_log_holds(tmp_path: Path) -> None:
    source = made(tmp_path / "shop.sqlite", "create table t(id integer primary key)")

    import_database(source, DataDirectory(tmp_path / "data"))

    database = Database.open(tmp_path / "data" / "nexus.db")
    try:
        (reign,) = database.history().reigns
        expected = Position(reign.epoch, Offset(1), reign.history_id)
        assert database.position == expected
        assert reign.why == "import"
    finally:
        database.close()


def test_what_is_imported_has_its_name_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = made(tmp_path / "shop.sqlite", "create table t(id integer primary key)")
    synced: list[int] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)

    import_database(source, DataDirectory(tmp_path / "data"))

    for directory in (tmp_path, tmp_path / "data"):
        assert directory.stat().st_ino in synced


def test_a_source_that_is_in_use_is_read_and_not_changed(tmp_path: Path) -> None:
    source = made(
        tmp_path / "shop.sqlite",
        "pragma journal_mode = wal",
        "create table t(id integer primary key)",
    )
    with closing(apsw.Connection(str(source))) as user:
        user.execute("insert into t values (1)")
        user.execute("begin immediate; insert into t values (2)")

        import_database(source, DataDirectory(tmp_path / "data"))
        user.execute("commit")

    with closing(apsw.Connection(str(tmp_path / "data" / "nexus.db"))) as copy:
        assert copy.execute("select id from t").fetchall() == [(1,)]
    with closing(apsw.Connection(str(source))) as user:
        names = user.execute("select name from sqlite_schema").fetchall()
        assert names == [("t",)]


def test_a_directory_with_a_node_is_left_alone(tmp_path: Path) -> None:
    source = made(tmp_path / "shop.sqlite", "create table t(id integer primary key)")
    import_database(source, DataDirectory(tmp_path / "data"))
    before = (tmp_path / "data" / "nexus.db").read_bytes()

    with pytest.raises(StorageError, match="holds a node already"):
        import_database(source, DataDirectory(tmp_path / "data"))

    assert (tmp_path / "data" / "nexus.db").read_bytes() == before
