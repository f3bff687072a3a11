"""Make a data directory from a snapshot's archive."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from nexus.cli.options import AsJson, DataDirectory
from nexus.cli.outcome import NotDoneError
from nexus.cli.terminal import count, print_json
from nexus.config.values import parse_size
from nexus.storage.archive import Manifest
from nexus.storage.catalog import Catalog
from nexus.storage.directory import DataDirectory as Directory
from nexus.storage.directory import DirectoryLock
from nexus.storage.installer import install
from nexus.storage.wal import WalSettings, WriteAheadLog

ARCHIVE_SUFFIX: Final = ".tar.zst"

ArchiveFile = Annotated[
    Path, typer.Argument(metavar="ARCHIVE", help="A snapshot, as a .tar.zst file.")
]
MaxSize = Annotated[
    str,
    typer.Option("--max-size", metavar="SIZE", help="Refuse a larger database."),
]


def restore(
    archive: ArchiveFile,
    data: DataDirectory,
    max_size: MaxSize = "10GiB",
    *,
    as_json: AsJson = False,
) -> None:
    """Make the data directory DIR from a snapshot."""
    try:
        limit = parse_size(max_size)
    except ValueError as error:
        raise typer.BadParameter(f"--max-size: {error}; write it like 10GiB") from None
    manifest = restore_archive(archive, data, max_size=limit)
    if as_json:
        print_json(_document(manifest, data))
        return
    print(
        f"restored offset {count(manifest.position.offset)} of cluster "
        f"{manifest.cluster_id} into '{data}'; start it with "
        f"nexus serve --data {data}"
    )


def restore_archive(archive: Path, data: Path, *, max_size: int) -> Manifest:
    """Verify the archive and make `data` a node's directory; durable on return.

    Raises NotDoneError where a node's data stands already, SnapshotError for an
    archive that cannot be trusted; nothing is left behind then.
    """
    if not archive.is_file():
        raise NotDoneError(
            f"there is no file '{archive}'; name a snapshot's {ARCHIVE_SUFFIX}"
        )
    directory = Directory(data)
    if directory.database.exists() or directory.catalog.exists():
        raise NotDoneError(
            f"'{data}' holds a node's data already; move it away, or name another "
            "directory with --data"
        )
    directory.create()
    lock = DirectoryLock.acquire(directory)
    try:
        work = directory.snapshots / "restoring"
        manifest = install(archive, directory.database, work, max_size=max_size)
        _begin_log_after(directory, manifest)
    finally:
        lock.release()
    return manifest


def _begin_log_after(directory: Directory, manifest: Manifest) -> None:
    """The log begins where the database stands; the catalog knows the cluster."""
    position = manifest.position
    log = WriteAheadLog.open(directory.wal, WalSettings())
    try:
        log.reset(position.offset)
    finally:
        log.close()
    catalog = Catalog.open(directory.catalog)
    try:
        catalog.update(
            cluster_id=manifest.cluster_id,
            epoch=position.epoch,
            history_id=position.history_id,
        )
    finally:
        catalog.close()


def _document(manifest: Manifest, data: Path) -> dict[str, Any]:
    position = manifest.position
    return {
        "cluster_id": manifest.cluster_id,
        "offset": position.offset,
        "epoch": position.epoch,
        "data_dir": str(data),
    }
