"""Snapshots put where a database will stand, or into the one that stands there."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import dedent

import apsw
import pytest

from nexus.errors import (
    DatabaseBusyError,
    DiskFullError,
    SnapshotError,
    StorageError,
)
from nexus.storage.database import Database
from nexus.storage.snapshots.copier import MANIFEST_NAME
from nexus.storage.snapshots.installer import install, install_into
from node.builders import open_elsewhere
from storage.logs import file_size_limit
from storage.snapshotting import (
    MAX_SIZE,
    archive_of,
    contents,
    empty_manifest,
    fill,
    generation_of,
    member,
    only_reading,
    opened,
    pack,
    position,
    standing_copy,
    write,
)

READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60)
query = (
    "select min(generation), max(generation), count(*),"
    ' (select "offset" from nexus_position) from t'
)
seen = None
while True:
    low, high, count, offset = connection.execute(query).fetchone()
    if low != high or low != offset or count != 100 * low:
        print("mixed", low, high, count, offset, flush=True)
    if low != seen:
        print(low, flush=True)
        seen = low
"""
"""Prints each generation when it first sees it, through one connection."""

EARLY = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60)
print(connection.execute("select count(*) from sqlite_schema").fetchone(), flush=True)
sys.stdin.readline()
print(connection.execute("select min(generation) from t").fetchone(), flush=True)
"""
"""Makes an empty file, if there is none, and looks again when it is told to."""

INSTALLER = dedent(
    """
    import os, resource, signal, sys
    from pathlib import Path
    from nexus.storage.snapshots import installer
    from nexus.storage.database import Database

    path, copy, limit = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    database = Database.open(path)
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    else:
        Database.reload = lambda self: os.kill(os.getpid(), signal.SIGKILL)
    installer.install_into(copy, database, path.parent / "work", max_size=1 << 30)
    """
)
"""Dies at the first byte that some file takes beyond a limit; with 0, after the
commit."""


def put(copy: Path, database: Database) -> None:
    work = database.path.parent / "work"
    install_into(copy, database, work, max_size=MAX_SIZE)


@contextmanager
def reading(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that reads the database with plain sqlite3 all the time."""
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def next_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("page_size", [4096, 1024, 65536])
def test_open_readers_of_another_process_see_the_old_rows_or_the_new_ones(
    tmp_path: Path, page_size: int
) -> None:
    copies = [
        standing_copy(
            tmp_path / f"copy-{generation}",
            generation=generation,
            rows=100 * generation,
            page_size=page_size,
        )
        for generation in (30, 2, 17)
    ]
    with opened(tmp_path / "a.db") as database:
        fill(database, generation=1, rows=100)
        with reading(database.path) as reader:
            told = [next_line(reader)]
            for copy in copies:
                put(copy, database)
                told.append(next_line(reader))

    assert told == ["1", "30", "2", "17"]


def test_an_old_read_transaction_keeps_the_old_rows_to_its_end(tmp_path: Path) -> None:
    copy = standing_copy(tmp_path / "copy", generation=5)
    with opened(tmp_path / "a.db") as database:
        fill(database, generation=1)
        with closing(only_reading(database.path)) as reader:
            reader.execute("begin")
            assert generation_of(reader) == 1
            put(copy, database)

            assert generation_of(reader) == 1
            reader.execute("commit")
            assert generation_of(reader) == 5


def test_the_nodes_own_readers_see_another_schema_at_once(tmp_path: Path) -> None:
    copy = standing_copy(tmp_path / "copy", generation=5)
    with opened(tmp_path / "a.db") as database:
        write(database, 9, "create table other(x)", "insert into other values (1)")
        with database.reader() as reader:
            assert reader.execute("select x from other").get == 1
        schema_hash = database.schema_hash()
        put(copy, database)

        with database.reader() as reader:
            assert generation_of(reader) == 5
        assert database.position == position(5)
        assert database.schema_hash() != schema_hash


def test_the_database_takes_writes_after_it_and_keeps_all_over_a_restart(
    tmp_path: Path,
) -> None:
    copy = standing_copy(tmp_path / "copy", generation=5)
    with opened(tmp_path / "a.db") as database:
        put(copy, database)
        write(database, 6, "insert into t values (0, 6, 'more')")
    with opened(tmp_path / "a.db") as database:
        assert database.position == position(6)
        assert database.writer.execute("select count(*) from t").get == 201
        assert database.writer.pragma("integrity_check") == "ok"


@pytest.mark.parametrize("page_size", [512, 8192, 65536])
def test_another_page_size_is_rewritten_and_rowids_stay(
    tmp_path: Path, page_size: int
) -> None:
    copy = standing_copy(
        tmp_path / "copy",
        "create table keyless(x)",
        "insert into keyless(rowid, x) values (7, 'a'), (900, 'b')",
        generation=5,
        page_size=page_size,
    )
    with opened(tmp_path / "a.db") as database:
        fill(database, generation=1)
        put(copy, database)

        assert generation_of(database.writer) == 5
        assert database.page_size == 4096
        rows = database.writer.execute("select rowid, x from keyless").fetchall()
        assert rows == [(7, "a"), (900, "b")]
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("page_size", [4096, 512, 65536])
def test_another_encoding_comes_when_nobody_has_the_file_open(
    tmp_path: Path, page_size: int
) -> None:
    copy = standing_copy(
        tmp_path / "copy",
        "create table keyless(x)",
        "insert into keyless(rowid, x) values (7, 'ä'), (900, '€')",
        generation=5,
        rows=3000,
        page_size=page_size,
        encoding="UTF-16le",
    )
    with opened(tmp_path / "a.db") as database:
        fill(database, generation=1)
        with database.reader() as reader:
            assert generation_of(reader) == 1
        with (
            open_elsewhere(database.path),
            pytest.raises(DatabaseBusyError, match="encoding under them: close them"),
        ):
            put(copy, database)
        fill(database, generation=2)
        put(copy, database)

        assert (database.page_size, database.encoding) == (page_size, "UTF-16le")
        assert database.writer.pragma("integrity_check") == "ok"
        rows = database.writer.execute("select rowid, x from keyless").fetchall()
        assert rows == [(7, "ä"), (900, "€")]
        with database.reader() as reader:
            assert generation_of(reader) == 5
        fill(database, generation=6)
    with closing(only_reading(tmp_path / "a.db")) as reader:
        assert generation_of(reader) == 6


def test_a_connection_that_has_not_read_yet_sees_the_other_encodings_rows(
    tmp_path: Path,
) -> None:
    copy = standing_copy(tmp_path / "copy", generation=5, encoding="UTF-16be")
    with opened(tmp_path / "a.db") as database:
        fill(database, generation=1)
        with closing(only_reading(database.path)) as reader:
            put(copy, database)

            assert reader.pragma("encoding") == "UTF-16be"
            assert generation_of(reader) == 5


def test_where_no_database_stands_the_copy_is_put_as_it_is(tmp_path: Path) -> None:
    copy = standing_copy(
        tmp_path / "copy", generation=5, page_size=8192, encoding="UTF-16le"
    )
    path = tmp_path / "a.db"
    for leftover in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + leftover).write_bytes(b"of another database")
    inode = copy.stat().st_ino
    with closing(Database.expect(path)) as database:
        put(copy, database)

        assert path.stat().st_ino == inode
        assert database.position == position(5)
        assert (database.page_size, database.encoding) == (8192, "UTF-16le")
        assert generation_of(database.writer) == 5
        fill(database, generation=6)
        with database.reader() as reader:
            assert generation_of(reader) == 6


def test_whoever_opened_an_empty_file_sees_the_rows_that_come(tmp_path: Path) -> None:
    copy = standing_copy(tmp_path / "copy", generation=5, page_size=8192)
    path = tmp_path / "a.db"
    with subprocess.Popen(
        [sys.executable, "-c", EARLY, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as early:
        assert next_line(early) == "(0,)"
        with closing(Database.expect(path)) as database:
            put(copy, database)

            assert early.communicate("\n")[0] == "(5,)\n"
            assert database.page_size == 8192


def test_a_database_over_the_limit_is_refused(tmp_path: Path) -> None:
    copy = standing_copy(tmp_path / "copy", generation=5)
    limit = copy.stat().st_size - 1
    with opened(tmp_path / "a.db") as database:
        fill(database, generation=1)
        with pytest.raises(SnapshotError, match=f"the limit is {limit}"):
            install_into(copy, database, tmp_path / "work", max_size=limit)

        assert generation_of(database.writer) == 1


def test_a_file_that_changed_since_it_was_verified_is_refused(tmp_path: Path) -> None:
    copy = standing_copy(tmp_path / "copy", generation=5)
    with copy.open("ab") as file:
        file.write(bytes(4096))
    with opened(tmp_path / "a.db") as database:
        fill(database, generation=1)
        with pytest.raises(SnapshotError, match="its manifest declares"):
            put(copy, database)

        assert generation_of(database.writer) == 1


def test_a_file_without_a_manifest_was_not_verified(tmp_path: Path) -> None:
    copy = standing_copy(tmp_path / "copy", generation=5)
    (copy.parent / MANIFEST_NAME).unlink()
    with (
        opened(tmp_path / "a.db") as database,
        pytest.raises(SnapshotError, match="was not verified"),
    ):
        put(copy, database)


@pytest.mark.parametrize("page_size", [4096, 1024])
def test_a_full_disk_leaves_the_old_rows_and_the_node_goes_on(
    tmp_path: Path, page_size: int
) -> None:
    copy = standing_copy(
        tmp_path / "copy", generation=5, rows=3000, page_size=page_size
    )
    with opened(tmp_path / "a.db") as database:
        fill(database, generation=1)
        for limit in (40_000, 200_000, 600_000):
            with file_size_limit(limit), pytest.raises(StorageError):
                put(copy, database)
            assert generation_of(database.writer) == 1
            assert database.position == position(1)
        with database.reader() as reader:
            assert generation_of(reader) == 1

        fill(database, generation=2)
        put(copy, database)
        assert generation_of(database.writer) == 5
    assert not (tmp_path / "work").exists()


def test_a_writer_elsewhere_is_named_and_nothing_changes(tmp_path: Path) -> None:
    copy = standing_copy(tmp_path / "copy", generation=5)
    with opened(tmp_path / "a.db") as database:
        fill(database, generation=1)
        database.writer.set_busy_timeout(1)
        with closing(apsw.Connection(str(database.path))) as other:
            other.execute("begin immediate")
            with pytest.raises(DatabaseBusyError, match="another process writes"):
                put(copy, database)
            other.execute("rollback")

        assert generation_of(database.writer) == 1
        put(copy, database)
        assert generation_of(database.writer) == 5


@pytest.mark.parametrize("limit", [40_000, 100_000, 300_000, 600_000, 0])
@pytest.mark.parametrize(
    ("page_size", "encoding"), [(4096, "UTF-8"), (1024, "UTF-8"), (4096, "UTF-16le")]
)
def test_a_crash_in_mid_install_leaves_the_old_rows_or_the_new_ones(
    tmp_path: Path, limit: int, page_size: int, encoding: str
) -> None:
    copy = standing_copy(
        tmp_path / "copy",
        generation=5,
        rows=3000,
        page_size=page_size,
        encoding=encoding,
    )
    assert copy.stat().st_size > 600_000
    path = tmp_path / "a.db"
    with opened(path) as database:
        fill(database, generation=1)

    died = subprocess.run(
        [sys.executable, "-c", INSTALLER, str(path), str(copy), str(limit)],
        check=False,
    )

    assert died.returncode == -(signal.SIGXFSZ if limit else signal.SIGKILL)
    with opened(path) as database:
        assert generation_of(database.writer) == (1 if limit else 5)
        assert database.writer.pragma("integrity_check") == "ok"
        put(copy, database)
        assert generation_of(database.writer) == 5


def test_where_no_database_stands_the_verified_file_is_put(tmp_path: Path) -> None:
    copy = standing_copy(tmp_path / "copy", generation=7)
    archive = tmp_path / "archive"
    packed = pack(copy, archive, empty_manifest(), level=1)

    manifest = install(
        archive, tmp_path / "new.db", tmp_path / "work", max_size=MAX_SIZE
    )

    assert manifest == packed
    assert (tmp_path / "new.db").read_bytes() == copy.read_bytes()
    assert not (tmp_path / "work").exists()


def test_a_refused_archive_leaves_no_database(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(archive_of(member("../new.db", b"evil")))

    with pytest.raises(SnapshotError, match=r"'\.\./new.db'"):
        install(archive, tmp_path / "new.db", tmp_path / "work", max_size=MAX_SIZE)

    assert contents(tmp_path) == ["archive"]


def test_a_disk_without_room_leaves_no_database(tmp_path: Path) -> None:
    copy = standing_copy(tmp_path / "copy", generation=7)
    archive = tmp_path / "archive"
    pack(copy, archive, empty_manifest(), level=1)

    with file_size_limit(10_000), pytest.raises(DiskFullError):
        install(archive, tmp_path / "new.db", tmp_path / "work", max_size=MAX_SIZE)

    assert not (tmp_path / "new.db").exists()
    assert not (tmp_path / "work").exists()
