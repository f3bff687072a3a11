"""Open what a node stands on, in order, and mend what a crash left half done."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import structlog

from nexus.config import Config
from nexus.errors import CorruptLogError, StorageError
from nexus.model.cluster import Mode, NodeId, Role
from nexus.model.entry import written_us
from nexus.model.position import (
    NO_OFFSET,
    Epoch,
    EpochHistory,
    HistoryId,
    Offset,
    Reign,
)
from nexus.node.logreading import records_from
from nexus.storage.apply import APPLY_BYTES, Applier
from nexus.storage.catalog import Catalog
from nexus.storage.database import Database
from nexus.storage.directory import DataDirectory, DirectoryLock
from nexus.storage.disk import storage_errors, sync_directory
from nexus.storage.identity import fresh_id
from nexus.storage.rewinding.rewind import resolve
from nexus.storage.sqlite.functions import Functions
from nexus.storage.wal import WalSettings, WriteAheadLog

RESTING_READERS: Final = 32
"""Connections beside `limits.readers`, for queries that wait for their clients."""

ENTRY_BYTES: Final = 1 << 10
"""More than most entries have; a file of larger ones has fewer of them."""

LEAST_SEGMENT_BYTES: Final = 1 << 20

PROMOTION_STEP: Final = 1_000
"""A promotion by hand leaves room below its epoch: a deposed master that is started
again takes the next epoch by itself, and must not meet the new one at that number."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Storage:
    """What a node keeps, open, its parts in agreement with each other."""

    directory: DataDirectory
    lock: DirectoryLock
    catalog: Catalog
    log: WriteAheadLog
    database: Database

    def close(self) -> None:
        """Close all, in order; a clean stop leaves its watermark.

        All is closed, and the directory free, when one of them raises too.
        """
        with ExitStack() as stack:
            stack.callback(self.lock.release)
            stack.callback(self.catalog.close)
            stack.callback(self.log.close)
            stack.callback(self.database.close)
            if self.database.stands:
                self.database.checkpoint()
            self.catalog.update(log_watermark=self.log.durable_offset)


def open_storage(config: Config, node_id: NodeId | None = None) -> Storage:
    """Open a data directory; raises StorageError naming what is wrong.

    Nothing is left open then. `node_id` is for a directory that has none yet.
    """
    directory = DataDirectory(config.data_dir)
    if directory.restoring.exists():
        raise StorageError(
            f"a restore into {directory.root} is under way, or was broken off: wait "
            "for it, or run it again; a directory that was emptied will do too"
        )
    directory.create()
    with ExitStack() as opened:
        lock = DirectoryLock.acquire(directory)
        opened.callback(lock.release)
        catalog = Catalog.open(directory.catalog)
        opened.callback(catalog.close)
        if not catalog.state.node_id:
            catalog.update(node_id=node_id or NodeId(fresh_id()))
        expects = effective_role(config, catalog) in (Role.REPLICA, Role.WITNESS) or (
            bool(config.replication.peers or catalog.state.voters)
            or config.replication.coordinator == "etcd"
        )
        witness = config.replication.role is Role.WITNESS
        if witness and directory.database.exists():
            raise StorageError(
                f"{directory.database} stands here, and a witness keeps no database: "
                "give it an empty data directory, or another role"
            )
        opening = Database.expect if expects else Database.open
        database = opening(
            directory.database,
            readers=config.limits.readers + RESTING_READERS,
            functions=Functions.of_modules(config.functions),
        )
        opened.callback(database.close)
        log = _open_agreeing(config, directory, catalog, database, expects=expects)
        opened.callback(log.close)
        foresee(log, database)
        opened.pop_all()
    return Storage(directory, lock, catalog, log, database)


def log_settings(max_entries: int) -> WalSettings:
    """A log that keeps few entries has small files: each is preallocated."""
    quarter = max_entries // 4 * ENTRY_BYTES
    size = min(max(quarter, LEAST_SEGMENT_BYTES), WalSettings().segment_bytes)
    return WalSettings(max_entries=max_entries, segment_bytes=size)


def _open_agreeing(
    config: Config,
    directory: DataDirectory,
    catalog: Catalog,
    database: Database,
    *,
    expects: bool,
) -> WriteAheadLog:
    """The log, in agreement with the database.

    Where they cannot agree, or the log is damaged, a node that `expects` a master
    begins with an empty log and takes a full sync (hard-cases 2 and 12); any other
    raises CorruptLogError, for nobody could send it what it lacks.
    """
    try:
        return _opened_log(config, directory, catalog, database)
    except CorruptLogError as error:
        if not expects:
            raise
        _set_aside(directory, catalog, str(error))
    return _opened_log(config, directory, catalog, database)


def _set_aside(directory: DataDirectory, catalog: Catalog, reason: str) -> None:
    """Begin with an empty log; this node is incomplete from now on, durably.

    The catalog comes first: a crash in between leaves an incomplete node too. The
    database stays where its readers have it until a snapshot replaces it.
    """
    catalog.update(incomplete=reason, refilled=False, log_watermark=NO_OFFSET)
    kept = directory.diverged / f"log-{time.time_ns()}"
    with storage_errors(f"setting {directory.wal} aside"):
        directory.wal.rename(kept)
        directory.wal.mkdir()
        for changed in (directory.root, directory.diverged):
            sync_directory(changed)
    log.error("node_incomplete", reason=reason, log_kept=str(kept))


def _opened_log(
    config: Config, directory: DataDirectory, catalog: Catalog, database: Database
) -> WriteAheadLog:
    state = catalog.state
    wal = WriteAheadLog.open(
        directory.wal,
        log_settings(config.replication.max_log_size),
        watermark=NO_OFFSET if state.intent else state.log_watermark,
    )
    if wal.torn_bytes:
        log.info("log_tail_cut", bytes=wal.torn_bytes, offset=wal.last_offset)
    with ExitStack() as opened:
        opened.callback(wal.close)
        witness = config.replication.role is Role.WITNESS
        _agree(catalog, wal, database, witness=witness)
        opened.pop_all()
    return wal


def _agree(
    catalog: Catalog, log: WriteAheadLog, database: Database, *, witness: bool
) -> None:
    """The log holds the entry that this node's data stand at, or begins right behind.

    Without a database, on a `witness`, that is the base that its catalog names.
    """
    state, applied = catalog.state, database.position
    base = NO_OFFSET if state.base is None else state.base.offset
    end, stands = (
        (base, "the catalog says that it goes on after")
        if witness
        else (applied.offset, "the database stands at")
    )
    intent = state.intent
    if intent is not None and intent.kind == "rewind":
        resolve(intent, database, log, catalog)
        intent = None
    # Not `!= before`: after a power cut the database may stand before that, and the
    # log is what this node has acknowledged. A witness's base comes with its intent.
    replaced = intent is not None and (witness or applied == intent.target)
    if replaced or (log.entry_count == 0 and log.last_offset != end):
        # What was durable before says nothing of the log that begins here.
        catalog.update(log_watermark=NO_OFFSET)
        log.reset(end)
    elif not log.first_offset - 1 <= end <= log.last_offset:
        raise CorruptLogError(
            f"the log holds entries {log.first_offset} to {log.last_offset}, but "
            f"{stands} {end}: parts of different copies were mixed; restore the whole "
            "data directory, or start with an empty one"
        )
    if intent is not None:
        catalog.update(intent=None, refilled=replaced or state.refilled)


def redo(storage: Storage) -> None:
    """Apply what the log holds beyond the database: the history is this node's own."""
    apply_logged(storage.log, storage.database, Applier(storage.database))


def apply_logged(log: WriteAheadLog, database: Database, applier: Applier) -> None:
    """Apply the rest of the log; leaves the database in applying mode if there is any.

    Raises StorageError; what was applied until then is committed.
    """
    if database.position.offset >= log.last_offset:
        return
    database.set_mode_applying()
    cursor = log.cursor(Offset(database.position.offset + 1))
    try:
        while database.position.offset < log.last_offset:
            records = cursor.read(Offset(log.last_offset + 1), APPLY_BYTES)
            applier.apply(records)
            if cursor.offset != database.position.offset + 1:
                cursor.close()
                cursor = log.cursor(Offset(database.position.offset + 1))
    finally:
        cursor.close()


def foresee(log: WriteAheadLog, database: Database) -> None:
    """Heed what the log says beyond the database already: that tokens are revoked."""
    if database.stands:
        database.foresee(records_from(log, Offset(database.position.offset + 1)))


def written(
    log: WriteAheadLog, start: Offset, *, spacing_us: int
) -> tuple[tuple[Offset, int], ...]:
    """When the log's entries from `start` on were written, microseconds since 1970.

    Neighbours within the spacing are one, as young as the youngest. Blocks.
    """
    found: list[tuple[Offset, int]] = []
    began_us = 0
    for record in records_from(log, start):
        at_us = written_us(record.payload)
        if found and abs(at_us - began_us) < spacing_us:
            found[-1] = (record.offset, max(found[-1][1], at_us))
        else:
            began_us = at_us
            found.append((record.offset, at_us))
    return tuple(found)


def effective_role(config: Config, catalog: Catalog) -> Role:
    """A role taken at run time outlives a restart; else the configuration's."""
    configured, kept = config.replication.role, catalog.state.role
    if {configured, kept} == {Role.MASTER, Role.REPLICA}:
        return kept
    return configured


def new_reign(storage: Storage, epoch: Epoch, why: str, mode: Mode) -> Reign:
    """One that begins now, behind all that the log holds, as a history of its own."""
    return Reign(
        epoch,
        HistoryId(fresh_id()),
        storage.catalog.state.node_id,
        Offset(storage.log.last_offset + 1),
        time.time_ns() // 1000,
        why,
        mode,
    )


def next_epoch(catalog: Catalog, history: EpochHistory, *, step: int = 1) -> Epoch:
    """An epoch above every one that this node has met."""
    return Epoch(max(catalog.state.epoch, history.epoch) + step)
