"""Make a data directory from a snapshot's file, or from any moment of an archive."""

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from nexus.archive.opening import archive_directory, is_archive_url, open_store
from nexus.archive.restoring import Moment, Restored
from nexus.archive.restoring import restore as restore_moment
from nexus.cli.moments import OfCluster, OfHistory, ToOffset, ToTime, moment_of
from nexus.cli.options import AsJson, FunctionModules, NodeDirectory, functions_of
from nexus.cli.outcome import NotDoneError
from nexus.cli.terminal import count, print_error, print_json
from nexus.config.values import parse_size
from nexus.errors import SnapshotError
from nexus.storage.database import Database
from nexus.storage.directory import DataDirectory, DirectoryLock
from nexus.storage.identity import fresh_id
from nexus.storage.importing.beginning import begin_at, leave_cluster
from nexus.storage.snapshots.file import Manifest
from nexus.storage.snapshots.installer import install
from nexus.storage.sqlite.functions import Functions

ARCHIVE_SUFFIX: Final = ".tar.zst"

ArchiveName = Annotated[
    str,
    typer.Argument(
        metavar="ARCHIVE",
        help="A directory or URL that nodes archive to, or one snapshot's .tar.zst.",
    ),
]
MaxSize = Annotated[
    str,
    typer.Option("--max-size", metavar="SIZE", help="Refuse a larger database."),
]


def restore(  # noqa: PLR0913 - each is an option of the command
    archive: ArchiveName,
    data: NodeDirectory,
    max_size: MaxSize = "10GiB",
    *,
    to_offset: ToOffset = None,
    to_time: ToTime = None,
    cluster: OfCluster = None,
    history: OfHistory = None,
    functions: FunctionModules = "",
    as_json: AsJson = False,
) -> None:
    """Make a data directory from a backup, as of any moment."""
    limit = size_limit(max_size)
    moment = moment_of(to_offset, to_time, cluster, history)
    if _is_snapshot_file(archive):
        if moment != Moment():
            raise typer.BadParameter(
                f"'{archive}' is one snapshot, and has one moment; --to-offset and "
                "--to-time are for an archive"
            )
        known = functions_of(functions)
        manifest = _restore_archive(Path(archive), data, limit, known)
        _tell_snapshot(manifest, data, as_json)
        return
    store = open_store(archive)
    directory = archive_directory(archive)
    if directory is not None and not directory.expanduser().is_dir():
        raise NotDoneError(
            f"there is no file or directory '{archive}'; name what nodes archive to "
            "(archive.url), or one snapshot's .tar.zst"
        )
    restored = restore_moment(
        store,
        data,
        moment,
        max_size=limit,
        functions=functions_of(functions),
    )
    if as_json:
        print_json(_moment_document(restored, data))
        return
    for fork in restored.forks:
        print_error(f"beside it the archive holds the history {fork} (--history)")
    print(
        f"restored offset {count(restored.position.offset)} of cluster "
        f"{restored.cluster_id} into '{data}', from a snapshot and "
        f"{count(restored.runs)} runs of entries; start it with "
        f"nexus serve --data {data}"
    )


def size_limit(text: str) -> int:
    """What --max-size says; raises BadParameter."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(f"--max-size: {error}; write it like 10GiB") from None


def _is_snapshot_file(archive: str) -> bool:
    """Whether this names one snapshot, or a file that is none."""
    if is_archive_url(archive):
        return False
    return archive.endswith(ARCHIVE_SUFFIX) or Path(archive).is_file()


def _tell_snapshot(manifest: Manifest, data: Path, as_json: bool) -> None:  # noqa: FBT001
    if as_json:
        print_json(_document(manifest, data))
        return
    print(
        f"restored offset {count(manifest.position.offset)} of cluster "
        f"{manifest.cluster_id} into '{data}'; start it with "
        f"nexus serve --data {data}"
    )


def _restore_archive(
    archive: Path, data: Path, max_size: int, functions: Functions
) -> Manifest:
    """Verify the archive and make `data` a node's directory; durable on return.

    A cluster of its own, as what is restored from a whole archive is. Raises
    NotDoneError where a node's data stands already, SnapshotError for an archive that
    cannot be trusted; nothing is left behind then.
    """
    if not archive.is_file():
        raise NotDoneError(
            f"there is no file '{archive}'; name a snapshot's {ARCHIVE_SUFFIX}"
        )
    directory = DataDirectory(data)
    if directory.database.exists() or directory.catalog.exists():
        raise NotDoneError(
            f"'{data}' holds a node's data already; move it away, or name another "
            "directory with --data"
        )
    if directory.restoring.exists():
        raise NotDoneError(
            f"another restore into '{data}' is under way, or was broken off; empty the "
            "directory first"
        )
    directory.create()
    lock = DirectoryLock.acquire(directory)
    try:
        work = directory.snapshots / "restoring"
        manifest = _installed(archive, directory.database, work, max_size)
        with closing(Database.open(directory.database, functions=functions)) as made:
            leave_cluster(made)
            made.empty_wal()
        begin_at(directory, fresh_id(), manifest.position)
    finally:
        lock.release()
    return manifest


def _installed(archive: Path, database: Path, work: Path, max_size: int) -> Manifest:
    try:
        return install(archive, database, work, max_size=max_size)
    except SnapshotError as error:
        raise SnapshotError(f"'{archive}': {error}") from error


def _document(manifest: Manifest, data: Path) -> dict[str, Any]:
    position = manifest.position
    return {
        "cluster_id": manifest.cluster_id,
        "offset": position.offset,
        "epoch": position.epoch,
        "data_dir": str(data),
    }


def _moment_document(restored: Restored, data: Path) -> dict[str, Any]:
    position = restored.position
    return {
        "cluster_id": restored.cluster_id,
        "offset": position.offset,
        "epoch": position.epoch,
        "history_id": position.history_id,
        "snapshot": restored.snapshot,
        "runs": restored.runs,
        "other_histories": list(restored.forks),
        "data_dir": str(data),
    }
