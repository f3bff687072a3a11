"""Carries out a rewind: keeps what goes, then takes it back on the writer's thread."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import structlog

from nexus.errors import DatabaseBusyError, RewindError
from nexus.model.entry import Record
from nexus.model.position import EpochHistory, Offset, Position
from nexus.node.parts import Parts
from nexus.node.worker import ApplyWorker, errand
from nexus.replication.effects import Diverged
from nexus.storage.diverged import Divergence
from nexus.storage.rewind import rewind
from nexus.storage.wal import WriteAheadLog

EXPORT_BYTES: Final = 1 << 20

BUSY_RETRY_S: Final = 0.5
"""How often it looks whether another process has given the database's lock up."""

log = structlog.get_logger(__name__)


async def keep_diverged(
    parts: Parts, history: EpochHistory, effect: Diverged
) -> Divergence:
    """Export the log's entries after the fork to `diverged/`; durable on return."""

    def export() -> Divergence:
        records = _records_after(parts.log, effect.after)
        return parts.diverged.export(
            records, history, after=effect.after, reason=effect.reason
        )

    made = await asyncio.to_thread(export)
    log.warning("diverged_kept", id=made.id, entries=made.entries)
    return made


async def take_back(parts: Parts, worker: ApplyWorker, to: Position) -> str:
    """Take back everything after `to`; why that cannot be, empty once it is done.

    Raises DiskFullError with all as it was; after any other StorageError the node must
    start again.
    """

    def work() -> None:
        rewind(parts.database, parts.log, parts.standing.catalog, to)
        worker.restart()

    while True:
        job = errand(work, parts.loop)
        worker.run_soon(job)
        assert job.waiter is not None, "a job of an event loop has a waiter"
        try:
            await job.waiter
        except DatabaseBusyError as error:
            log.warning("rewind_waits", reason=str(error))
            await asyncio.sleep(BUSY_RETRY_S)
        except RewindError as error:
            return str(error)
        else:
            log.info("rewound", to=str(to))
            return ""


def _records_after(wal: WriteAheadLog, after: Offset) -> Iterator[Record]:
    start = Offset(max(after + 1, wal.first_offset))
    with closing(wal.cursor(start)) as cursor:
        while cursor.offset <= wal.last_offset:
            yield from cursor.read(Offset(wal.last_offset + 1), EXPORT_BYTES)
