"""What breaks SQLite's locks is noticed before anybody is told that a row is safe."""

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from nexus.errors import ForeignWriteError, ForkedError, SecondSQLiteError, StorageError
from nexus.storage.database import Database
from nexus.storage.sqlite import guard
from nexus.storage.sqlite.guard import Guard, refuse_second_opener, require_locks

PREPARED = """
import os, sqlite3, sys
import apsw
from pathlib import Path
from nexus.errors import SecondSQLiteError
from nexus.storage.database import Database

path = Path(sys.argv[1])

def look():
    other = sqlite3.connect(path)
    other.execute("select count(*) from t").fetchone()
    other.close()
"""


def run_child(script: str, path: Path) -> str:
    """What a process of its own prints; it ends as if the power went."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARED + textwrap.dedent(script), str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_a_child_is_told_that_its_parent_has_opened_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Guard(tmp_path / "nexus.db")
    watched.check_process()
    parent = os.getpid()

    monkeypatch.setattr(os, "getpid", lambda: parent + 1)

    assert watched.is_forked
    with pytest.raises(ForkedError, match=f"process {parent} .* process {parent + 1};"):
        watched.check_process()


def test_a_second_sqlite_in_the_process_loses_commits_without_nexus(
    tmp_path: Path,
) -> None:
    path = tmp_path / "plain.db"

    run_child(
        """
        first = apsw.Connection(str(path))
        first.pragma("journal_mode", "wal")
        first.pragma("synchronous", 2)
        first.execute("create table t(x); insert into t values (0)")
        look()
        for x in range(1, 101):
            first.execute("insert into t values (?)", (x,))
        os._exit(0)
        """,
        path,
    )

    left = sqlite3.connect(path)
    rows = left.execute("select count(*) from t").fetchone()[0]
    left.close()
    assert rows == 1, "a hundred synced commits are gone: the danger is real"


def test_nexus_stops_at_the_first_commit_after_a_second_sqlite(tmp_path: Path) -> None:
    told = run_child(
        """
        database = Database.open(path)
        database.begin()
        database.writer.execute("create table t(x)")
        database.commit(None)
        look()
        try:
            for x in range(1, 101):
                database.begin()
                database.writer.execute("insert into t values (?)", (x,))
                database.commit(None)
        except SecondSQLiteError as error:
            print(x, error)
        sys.stdout.flush()
        os._exit(0)
        """,
        tmp_path / "nexus.db",
    )

    assert told.startswith("1 ")
    assert "another copy of SQLite in this process" in told
    assert "Nexus's connections" in told


def test_a_database_that_a_second_sqlite_holds_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "nexus.db"
    Database.open(path).close()
    other = sqlite3.connect(path)
    other.execute("select * from nexus_position").fetchall()

    with pytest.raises(SecondSQLiteError, match=r"has .* open already"):
        Database.open(path)
    other.close()

    Database.open(path).close()


def test_a_plain_open_of_the_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "nexus.db"
    refuse_second_opener(path)

    with path.open("wb"), pytest.raises(SecondSQLiteError):
        refuse_second_opener(path)
    refuse_second_opener(path)


def test_a_wal_that_was_removed_or_replaced_is_told(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "nexus.db")
    wal = Path(f"{database.path}-wal")
    database.begin()
    shutil.copyfile(wal, tmp_path / "copy")
    wal.unlink()

    with pytest.raises(SecondSQLiteError, match="was removed"):
        database.commit(None)

    (tmp_path / "copy").rename(wal)
    database.begin()
    with pytest.raises(SecondSQLiteError, match="was replaced"):
        database.commit(None)
    database.close()


def test_a_changed_data_version_is_a_foreign_write(tmp_path: Path) -> None:
    watched = Guard(tmp_path / "nexus.db")
    watched.watch(4)

    watched.check_data_version(4)
    with pytest.raises(ForeignWriteError, match=r"nexus\.db"):
        watched.check_data_version(5)


def test_locks_are_proven_on_a_scratch_file_that_does_not_stay(tmp_path: Path) -> None:
    require_locks(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(descriptor: int, command: int) -> None:
        """As a file system does that grants every lock and keeps none."""

    monkeypatch.setattr(fcntl, "lockf", forget)

    with pytest.raises(StorageError, match="forgets locks"):
        require_locks(tmp_path)


def test_a_directory_that_takes_no_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="local disk"):
        require_locks(tmp_path / "missing")


def test_a_system_that_cannot_tell_is_given_the_benefit_of_the_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(fcntl, "F_OFD_SETLK")
    monkeypatch.setattr(guard, "_DESCRIPTORS", tmp_path / "no-proc")

    require_locks(tmp_path)
    (tmp_path / "nexus.db").touch()
    refuse_second_opener(tmp_path / "nexus.db")
