"""Put a snapshot where a database will stand, or into the one that stands there.

An open database is never replaced by a rename: whoever has it open would stay on the
old file for ever, without an error.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import apsw

from nexus.errors import SnapshotError, StorageError
from nexus.storage.archive import Manifest, extract, read_manifest
from nexus.storage.copier import DATABASE_NAME, MANIFEST_NAME
from nexus.storage.database import Database, storage_error
from nexus.storage.disk import storage_errors, sync_directory


def install(archive: Path, target: Path, work: Path, *, max_size: int) -> Manifest:
    """Verify an archive and put it where no database stands yet; durable on return."""
    with _work_directory(work):
        manifest = extract(archive, work, max_size=max_size)
        with storage_errors(f"installing {archive.name}"):
            with (work / DATABASE_NAME).open("rb") as file:
                os.fsync(file.fileno())
            (work / DATABASE_NAME).rename(target)
            sync_directory(target.parent)
    return manifest


def install_into(
    copy: Path, database: Database, work: Path, *, max_size: int
) -> Manifest:
    """Replace a live database's content as one transaction; durable on return.

    `copy` is what a receiver has verified. Its pages go in through SQLite's backup in
    a single step, so that readers in any process stay connected and see the old rows
    or the new ones; a crash leaves either. Runs on the writer's thread. Raises
    SnapshotError or StorageError with the database as it was.
    """
    manifest = _manifest_beside(copy)
    _check(manifest, copy, database, max_size)
    try:
        if manifest.page_size == database.page_size:
            _replace_content(copy, database)
        else:
            with _work_directory(work):
                rewritten = work / DATABASE_NAME
                _rewrite(copy, rewritten, page_size=database.page_size)
                _replace_content(rewritten, database)
        database.reload()
    except apsw.Error as error:
        raise storage_error("the snapshot could not be installed", error) from error
    # It holds as much as the snapshot. Where that cannot be moved, nothing is lost.
    with suppress(StorageError):
        database.empty_wal()
    return manifest


def _manifest_beside(copy: Path) -> Manifest:
    try:
        text = (copy.parent / MANIFEST_NAME).read_bytes()
    except FileNotFoundError:
        raise SnapshotError(
            f"{copy.name} has no manifest beside it: it was not verified; receive it "
            "again"
        ) from None
    return read_manifest(text)


def _check(manifest: Manifest, copy: Path, database: Database, max_size: int) -> None:
    size = copy.stat().st_size
    if size > max_size or (size,) != tuple(file.size for file in manifest.files):
        raise SnapshotError(
            f"the received database has {size} bytes, its manifest declares "
            f"{[file.size for file in manifest.files]}, the limit is {max_size} "
            "(snapshot.max_size)"
        )
    # SQLite fixes a connection's encoding when it first reads the schema: every reader
    # that is open would fail from now on.
    if manifest.encoding != database.encoding:
        raise SnapshotError(
            f"the snapshot is {manifest.encoding}, the database here is "
            f"{database.encoding}: an open database cannot change its encoding; begin "
            "this node anew with `nexus restore` of one of its master's snapshots"
        )


def _replace_content(source: Path, database: Database) -> None:
    # Immutable: nobody writes to the copy, and it gets no -wal of its own.
    source_name = f"file:{_quoted(source)}?immutable=1"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    writer = database.writer
    with closing(apsw.Connection(source_name, flags=flags)) as reader:
        writer.pragma("synchronous", 2)
        try:
            with writer.backup("main", reader, "main") as backup:
                backup.step(-1)
        finally:
            writer.pragma("synchronous", 1)


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
