"""Carries out a rewind: takes entries back on the writer's thread."""

import asyncio
from typing import Final

import structlog

from nexus.errors import DatabaseBusyError, RewindError
from nexus.model.position import Position
from nexus.node.parts import Parts
from nexus.node.writing.worker import ApplyWorker, errand
from nexus.storage.rewinding.rewind import cut, rewind

BUSY_RETRY_S: Final = 0.5
"""How often it looks whether another process has given the database's lock up."""

log = structlog.get_logger(__name__)


async def take_back(parts: Parts, worker: ApplyWorker, to: Position) -> str:
    """Take back everything after `to`; why that cannot be, empty once it is done.

    Raises DiskFullError with all as it was; after any other StorageError the node must
    start again.
    """

    def work() -> None:
        if parts.is_witness:
            cut(parts.log, parts.storage.catalog, to)
        else:
            rewind(parts.database, parts.log, parts.storage.catalog, to)
        worker.restart()

    while True:
        job = errand(work, parts.loop)
        worker.run_soon(job)
        try:
            await job.waiter
        except DatabaseBusyError as error:
            log.warning("rewind_waits", reason=str(error))
            await asyncio.sleep(BUSY_RETRY_S)
        except RewindError as error:
            return str(error)
        else:
            parts.events.info("rewound", f"what came after {to} was taken back")
            return ""
