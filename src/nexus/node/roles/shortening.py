"""How a witness, which has no database, drops what no other voter needs of its log."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from nexus.model.position import NO_OFFSET, Offset
from nexus.node.parts import Parts
from nexus.node.roles.machines import is_crowded
from nexus.node.streaming.adapters import ReplicaAdapter

SHARE: Final = 16
"""By a sixteenth of what it keeps the log grows before it is shortened again."""


async def shorten(
    parts: Parts, adapter: ReplicaAdapter, on_worker: Callable[[Any], Awaitable[Any]]
) -> None:
    """Drop the log's oldest segments as far as may be; raises StorageError.

    Where it takes half of what it may, that is all that every voter holds.

    First the catalog says, durably, what stood at the entry from which on all is kept:
    reigns and voters. There is no database that would say it.
    """
    wal, base = parts.log, parts.state.base
    crowded = is_crowded(parts)
    most = 0 if crowded else parts.config.replication.max_log_size
    last = min(adapter.retention_floor() - 1, wal.last_offset - most)
    if last - (NO_OFFSET if base is None else base.offset) < max(1, most // SHARE):
        return
    made = adapter.base_at(Offset(last))
    if made is None:
        return

    def drop() -> int:
        # A rewind or a snapshot, on this thread too, may have come in between.
        fits = wal.first_offset - 1 <= made.offset <= wal.durable_offset
        if parts.state.base is not base or parts.state.intent or not fits:
            return 0
        parts.storage.catalog.update(base=made)
        return wal.retain(Offset(made.offset + 1), keeps_newest=not crowded)

    if await on_worker(drop):
        adapter.retained(wal.first_offset)
