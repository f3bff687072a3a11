"""Make a data directory from a snapshot's file, or from any moment of an archive."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from nexus.archive.opening import archive_directory, is_archive_url, open_store
from nexus.archive.restoring import Moment, Restored, restore_snapshot
from nexus.archive.restoring import restore as restore_moment
from nexus.archive.stores import Store
from nexus.cli.moments import OfCluster, OfHistory, ToOffset, ToTime, moment_of
from nexus.cli.options import AsJson, FunctionModules, NodeDirectory, functions_of
from nexus.cli.outcome import NotDoneError
from nexus.cli.terminal import count, print_error, print_json
from nexus.config import SnapshotSettings
from nexus.config.values import parse_size
from nexus.storage.snapshots.file import Manifest

ARCHIVE_SUFFIX: Final = ".tar.zst"

DEFAULT_MAX_SIZE: Final = f"{SnapshotSettings().max_size >> 30}GiB"

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
    max_size: MaxSize = DEFAULT_MAX_SIZE,
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
    known = functions_of(functions)
    if _is_snapshot_file(archive):
        if moment != Moment():
            raise typer.BadParameter(
                f"'{archive}' is one snapshot, and has one moment; --to-offset and "
                "--to-time are for an archive"
            )
        _require_file(archive)
        manifest = restore_snapshot(
            Path(archive), data, max_size=limit, functions=known
        )
        _tell_snapshot(manifest, data, as_json=as_json)
        return
    restored = restore_moment(
        _store(archive), data, moment, max_size=limit, functions=known
    )
    _tell_moment(restored, data, as_json=as_json)


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


def _require_file(archive: str) -> None:
    if not Path(archive).is_file():
        raise NotDoneError(
            f"there is no file '{archive}'; name a snapshot's {ARCHIVE_SUFFIX}"
        )


def _store(archive: str) -> Store:
    """What nodes archive to; raises NotDoneError where that is not there."""
    store = open_store(archive)
    directory = archive_directory(archive)
    if directory is not None and not directory.expanduser().is_dir():
        raise NotDoneError(
            f"there is no file or directory '{archive}'; name what nodes archive to "
            "(archive.url), or one snapshot's .tar.zst"
        )
    return store


def _tell_moment(restored: Restored, data: Path, *, as_json: bool) -> None:
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


def _tell_snapshot(manifest: Manifest, data: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(_document(manifest, data))
        return
    print(
        f"restored offset {count(manifest.position.offset)} of cluster "
        f"{manifest.cluster_id} into '{data}'; start it with "
        f"nexus serve --data {data}"
    )


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
