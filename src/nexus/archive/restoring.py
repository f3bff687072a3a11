"""Bring a moment back from an archive: a data directory, whole or not at all."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from nexus.archive.inventory import (
    Inventory,
    chosen_cluster,
    newest_reign,
    side_histories,
    take_stock,
)
from nexus.archive.names import ReignName, SnapshotName
from nexus.archive.planning import Piece, Plan, newest_first, plan_restore
from nexus.archive.runs import Run
from nexus.archive.staging import staging
from nexus.archive.stores import Store
from nexus.errors import ArchiveIncompleteError, SnapshotError
from nexus.model.entry import Record, written_us
from nexus.model.position import EpochHistory, Offset, Position
from nexus.storage.apply import APPLY_BYTES, Applier
from nexus.storage.database import Database
from nexus.storage.directory import DataDirectory
from nexus.storage.disk import storage_errors
from nexus.storage.identity import fresh_id
from nexus.storage.importing.beginning import begin_at, leave_cluster
from nexus.storage.snapshots.extraction import Extractor
from nexus.storage.snapshots.file import Manifest, verified
from nexus.storage.snapshots.installer import install
from nexus.storage.sqlite.functions import NO_FUNCTIONS, Functions

AHEAD: Final = 4
"""Runs that are fetched while the one before is applied."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What is to be restored: the newest there is, unless it says otherwise."""

    offset: Offset | None = None
    time_us: int | None = None
    cluster_id: str | None = None
    history_id: str | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back."""

    cluster_id: str
    position: Position
    snapshot: str
    runs: int
    forks: tuple[str, ...]
    """Histories that the archive holds beside this one."""


@dataclass(frozen=True, slots=True)
class Found:
    """What an archive holds of one cluster, and the history that counts."""

    inventory: Inventory
    history: EpochHistory


def look(store: Store, moment: Moment) -> Found:
    """List the archive, and choose cluster and history; raises ArchiveError."""
    inventory = chosen_cluster(take_stock(store.list()), moment.cluster_id, store.url)
    reign = newest_reign(inventory, moment.history_id)
    return Found(inventory, read_history(store, reign))


def read_history(store: Store, reign: ReignName) -> EpochHistory:
    """Every reign up to this one; raises ArchiveIncompleteError naming the object."""
    data = store.get(reign.history)
    try:
        history = msgspec.json.decode(data, type=EpochHistory)
    except msgspec.MsgspecError as error:
        raise ArchiveIncompleteError(
            f"the archive's object {reign.history} is damaged: {error}"
        ) from error
    if (history.epoch, history.history_id) != (reign.epoch, reign.history_id):
        raise ArchiveIncompleteError(
            f"the archive's object {reign.history} tells of the reign "
            f"{history.epoch}-{history.history_id}; was it renamed?"
        )
    return history


def choose(store: Store, found: Found, moment: Moment) -> Plan:
    """What brings the moment back; raises ArchiveIncompleteError."""
    offset = moment.offset
    if moment.time_us is not None:
        offset = _offset_at(store, found, moment.time_us)
    return plan_restore(found.inventory, found.history, offset)


def _offset_at(store: Store, found: Found, time_us: int) -> Offset:
    """The last entry made at this time or before."""
    snapshots = found.inventory.snapshots_of(found.history)
    early = [one.offset for one in snapshots if one.time_us <= time_us]
    best = max(early, default=None)
    for piece in newest_first(found.inventory, found.history, time_us):
        if best is not None and piece.last <= best:
            continue
        fitting = [
            record.offset
            for record in _wanted_records(piece, store.get(str(piece.run)))
            if written_us(record.payload) <= time_us
        ]
        # Runs may overlap: whichever reaches further may hold a later one.
        best = max([best or fitting[-1], *fitting]) if fitting else best
    if best is None:
        raise ArchiveIncompleteError(
            "nothing that the archive holds is as old as that; `nexus backup list` "
            "tells the oldest moment"
        )
    return Offset(best)


def _wanted_records(piece: Piece, data: bytes) -> Iterator[Record]:
    """The entries of a run that the history has."""
    for record in Run(piece.run, data).records():
        if record.offset > piece.last:
            return
        if record.offset >= piece.first:
            yield record


def restore(
    store: Store,
    target: Path,
    moment: Moment,
    *,
    max_size: int,
    functions: Functions = NO_FUNCTIONS,
    as_replica: bool = False,
) -> Restored:
    """Make `target`, which is new or empty, a data directory of that moment.

    A cluster of its own, which cannot mix with the old one; or `as_replica`, one of its
    replicas. Raises ArchiveError, SnapshotError or StorageError, and nothing is left.
    """
    found = look(store, moment)
    plan = choose(store, found, moment)
    with staging(target) as stage:
        directory = DataDirectory(stage.work)
        directory.create()
        plan = _fetch_snapshot(store, found, plan, directory, max_size)
        with closing(Database.open(directory.database, functions=functions)) as made:
            _apply(store, plan.pieces, made)
            if not as_replica:
                leave_cluster(made)
            position = made.position
            made.empty_wal()
        known = found.inventory.cluster_id
        begin_at(directory, known if as_replica else fresh_id(), position)
        stage.publish()
    return Restored(
        found.inventory.cluster_id,
        position,
        str(plan.snapshot),
        len(plan.pieces),
        tuple(
            f"{one.epoch}-{one.history_id}"
            for one in side_histories(found.inventory, found.history)
        ),
    )


def restore_snapshot(
    archive: Path, target: Path, *, max_size: int, functions: Functions = NO_FUNCTIONS
) -> Manifest:
    """The same of one snapshot's file: a cluster of its own, as of its one moment."""
    with staging(target) as stage:
        directory = DataDirectory(stage.work)
        directory.create()
        work = directory.snapshots / "restoring"
        try:
            manifest = install(archive, directory.database, work, max_size=max_size)
        except SnapshotError as error:
            raise SnapshotError(f"'{archive}': {error}") from error
        with closing(Database.open(directory.database, functions=functions)) as made:
            leave_cluster(made)
            made.empty_wal()
        begin_at(directory, fresh_id(), manifest.position)
        stage.publish()
    return manifest


def _fetch_snapshot(
    store: Store, found: Found, plan: Plan, directory: DataDirectory, max_size: int
) -> Plan:
    """Unpack the plan's snapshot; where it is damaged, an older one, and more runs.

    Raises what the first one did if no older one will do.
    """
    inventory, first = found.inventory, None
    while True:
        try:
            _unpack(store, plan.snapshot, directory.database, max_size)
        except (ArchiveIncompleteError, SnapshotError) as error:
            first = first or error
            inventory = inventory.without(plan.snapshot)
            try:
                plan = plan_restore(inventory, found.history, plan.offset)
            except ArchiveIncompleteError:
                raise first from None
        else:
            return plan


def _unpack(store: Store, name: SnapshotName, path: Path, max_size: int) -> Manifest:
    """The database of a snapshot, verified; SnapshotError names the object."""
    extractor = Extractor(path, max_size=max_size)
    try:
        with storage_errors(f"unpacking {name}"):
            for block in store.stream(str(name)):
                extractor.feed(block)
            manifest = verified(extractor)
        _require_stands(manifest, name)
    except BaseException as error:
        extractor.close()
        path.unlink(missing_ok=True)
        if isinstance(error, SnapshotError):
            raise SnapshotError(f"the archive's object {name}: {error}") from error
        raise
    return manifest


def _require_stands(manifest: Manifest, name: SnapshotName) -> None:
    found, expected = manifest.position, name.position
    if (manifest.cluster_id, found) != (name.cluster_id, expected):
        raise SnapshotError(
            f"it holds {found} of cluster {manifest.cluster_id}, and its name says "
            f"{expected} of {name.cluster_id}"
        )


def _apply(store: Store, pieces: Sequence[Piece], database: Database) -> None:
    database.set_mode_applying()
    applier = Applier(database)
    batch: list[Record] = []
    size = 0
    for piece, data in _fetched(store, pieces):
        for record in _records_of(piece, data):
            batch.append(record)
            size += len(record.payload)
            if size >= APPLY_BYTES:
                _apply_batch(applier, database, batch)
                batch, size = [], 0
    _apply_batch(applier, database, batch)


def _records_of(piece: Piece, data: bytes) -> Iterator[Record]:
    try:
        yield from _wanted_records(piece, data)
    except ArchiveIncompleteError as error:
        raise ArchiveIncompleteError(
            f"{error}; --to-offset {piece.first - 1} brings back the last moment before"
        ) from error


def _apply_batch(applier: Applier, database: Database, batch: list[Record]) -> None:
    """All of it: each mark in the log ends one call."""
    while batch and database.position.offset < batch[-1].offset:
        applier.apply(batch)
    database.checkpoint_when_due()


def _fetched(store: Store, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, bytes]]:
    """The runs' bytes in order, some of them fetched ahead."""
    with ThreadPoolExecutor(AHEAD, thread_name_prefix="nexus-fetch") as threads:
        waiting: list[tuple[Piece, Future[bytes]]] = []
        try:
            for piece in pieces:
                waiting.append((piece, threads.submit(store.get, str(piece.run))))
                if len(waiting) > AHEAD:
                    first, data = waiting.pop(0)
                    yield first, data.result()
            for first, data in waiting:
                yield first, data.result()
        finally:
            threads.shutdown(cancel_futures=True)
