"""What of its log a replica drops: what its database, or every voter, holds."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from nexus.model.position import NO_OFFSET, Offset
from nexus.node.follower import Follower
from nexus.node.parts import Parts
from nexus.node.roles.machines import is_crowded
from nexus.node.streaming.adapters import MasterAdapter, ReplicaAdapter
from nexus.node.streaming.relayadapter import RelayAdapter
from nexus.replication.replica import Replica

SHARE: Final = 16
"""By a sixteenth of what it keeps the log grows before it is shortened again."""


class Retaining(Protocol):
    """The replica, as far as its log is concerned."""

    machine: Replica
    port: MasterAdapter | RelayAdapter | None

    @property
    def parts(self) -> Parts:
        """What it works with."""

    @property
    def follower(self) -> Follower:
        """What performs its machine's effects."""

    async def on_worker(self, call: Any) -> Any:
        """Call it on the thread that owns the database, between two batches."""


async def retain(replica: Retaining) -> None:
    """Drop what retention no longer keeps; raises StorageError."""
    machine = replica.follower.machine
    if replica.parts.is_witness and isinstance(machine, ReplicaAdapter):
        await shorten(replica.parts, machine, replica.on_worker)
    else:
        await _drop_old(replica)


async def _drop_old(replica: Retaining) -> None:
    database, wal = replica.parts.database, replica.parts.log
    # Only what the database file holds, synced, may leave the log.
    await replica.on_worker(database.checkpoint)
    # Nor what may have to be taken back: in async mode a database may be ahead.
    kept = min(database.checkpointed_offset, replica.machine.commit_offset)
    floor, relay = Offset(kept + 1), replica.port
    if isinstance(relay, RelayAdapter):
        floor = relay.retention_floor(floor)
    if await replica.follower.retain(floor):
        first = wal.first_offset
        if isinstance(relay, RelayAdapter):
            relay.retained(first)
        while await replica.on_worker(lambda: database.forget_answers_before(first)):
            pass


async def shorten(
    parts: Parts, adapter: ReplicaAdapter, on_worker: Callable[[Any], Awaitable[Any]]
) -> None:
    """Drop a witness's oldest segments as far as may be; raises StorageError.

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
