"""Put a snapshot where a database will stand, or into the one that stands there.

An open database is never replaced by a rename: whoever has it open would stay on the
old file for ever, without an error.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from nexus.errors import DatabaseBusyError, SnapshotError
from nexus.storage.database import Database
from nexus.storage.disk import storage_errors, sync_directory, sync_file
from nexus.storage.snapshots.copier import DATABASE_NAME, MANIFEST_NAME
from nexus.storage.snapshots.file import Manifest, extract, read_manifest
from nexus.storage.sqlite.connections import storage_error, synced_commits


def install(archive: Path, target: Path, work: Path, *, max_size: int) -> Manifest:
    """Verify an archive and put it where no database stands yet; durable on return."""
    with _work_directory(work):
        manifest = extract(archive, work, max_size=max_size)
        with storage_errors(f"installing {archive.name}"):
            _move(work / DATABASE_NAME, target)
    return manifest


def install_into(
    copy: Path, database: Database, work: Path, *, max_size: int
) -> Manifest:
    """Replace a live database's content as one transaction; durable on return.

    `copy` is what a receiver has verified. Where no database stands it is put there.
    Else its pages go in through SQLite's backup in a single step, so that readers in
    any process stay connected and see the old rows or the new ones; a crash leaves
    either. Runs on the writer's thread. Raises SnapshotError, StorageError, or
    DatabaseBusyError if others must go first, with the database as it was.
    """
    manifest = manifest_beside(copy)
    _check(manifest, copy, max_size)
    try:
        if database.stands or database.path.exists():
            _fill(copy, database, manifest, work)
            database.reload()
        else:
            with storage_errors("installing the snapshot"):
                _move(copy, database.path)
            database.open_writer()
    except apsw.BusyError as error:
        raise DatabaseBusyError(
            f"the snapshot waits: another process writes to {database.path}, or holds "
            "its lock; end that process, or its transaction"
        ) from error
    except apsw.Error as error:
        raise storage_error("the snapshot could not be installed", error) from error
    return manifest


def manifest_beside(copy: Path) -> Manifest:
    """What a receiver has verified of this copy; raises SnapshotError."""
    try:
        text = (copy.parent / MANIFEST_NAME).read_bytes()
    except FileNotFoundError:
        raise SnapshotError(
            f"{copy.name} has no manifest beside it: it was not verified; receive it "
            "again"
        ) from None
    return read_manifest(text)


def _move(copy: Path, target: Path) -> None:
    """Rename a database's file, durable on return; nothing stands at `target`."""
    with copy.open("rb") as file:
        sync_file(file.fileno())
    for leftover in ("-wal", "-shm", "-journal"):
        # Of a database that somebody removed: SQLite would take it for this one's.
        target.with_name(target.name + leftover).unlink(missing_ok=True)
    copy.rename(target)
    sync_directory(target.parent)


def _fill(copy: Path, database: Database, manifest: Manifest, work: Path) -> None:
    """Have the database hold what the copy does."""
    if not database.stands:  # an empty file, which somebody may have opened
        page_size, encoding = manifest.page_size, manifest.encoding
        database.open_writer(page_size=page_size, encoding=encoding)
    if manifest.encoding != database.encoding:
        # SQLite fixes a connection's encoding when it first reads the schema: whoever
        # has the file open would fail from now on, and so does this writer.
        with database.alone() as writer:
            writer.pragma("synchronous", 2)
            _copy_pages(copy, writer)
    elif manifest.page_size == database.page_size:
        _replace_content(copy, database.writer)
    else:
        with _work_directory(work):
            rewritten = work / DATABASE_NAME
            _rewrite(copy, rewritten, page_size=database.page_size)
            _replace_content(rewritten, database.writer)


def _check(manifest: Manifest, copy: Path, max_size: int) -> None:
    size = copy.stat().st_size
    if size > max_size or (size,) != tuple(file.size for file in manifest.files):
        raise SnapshotError(
            f"the received database has {size} bytes, its manifest declares "
            f"{[file.size for file in manifest.files]}, the limit is {max_size} "
            "(snapshot.max_size, or --max-size)"
        )


def _replace_content(source: Path, writer: apsw.Connection) -> None:
    with synced_commits(writer):
        _copy_pages(source, writer)


def _copy_pages(source: Path, writer: apsw.Connection) -> None:
    # Immutable: nobody writes to the copy, and it gets no -wal of its own.
    source_name = f"file:{_quoted(source)}?immutable=1"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    with (
        closing(apsw.Connection(source_name, flags=flags)) as reader,
        writer.backup("main", reader, "main") as backup,
    ):
        backup.step(-1)


def _rewrite(source: Path, target: Path, *, page_size: int) -> None:
    """The same rows under another page size: backup cannot change it (hard-case 14)."""
    with closing(apsw.Connection(str(source))) as reader:
        reader.execute(f"pragma page_size = {page_size}")
        reader.execute("vacuum into ?", (str(target),))


def _quoted(path: Path) -> str:
    """As a URI's path: https://www.sqlite.org/uri.html."""
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


@contextmanager
def _work_directory(work: Path) -> Iterator[None]:
    """Empty when it begins, gone when it ends."""
    shutil.rmtree(work, ignore_errors=True)
    with storage_errors(f"making {work}"):
        work.mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(work, ignore_errors=True)
