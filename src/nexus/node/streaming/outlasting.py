"""What has no room in a replica's log is tried again, until it is not wanted."""

from collections.abc import Awaitable, Callable

from nexus.errors import DiskFullError
from nexus.node.streaming.adapters import ReplicaAdapter
from nexus.node.streaming.effectqueue import EffectQueue
from nexus.node.telemetry.shortage import Shortage
from nexus.replication.effects import Store
from nexus.replication.replica import Replica
from nexus.storage.wal import WriteAheadLog


async def stored_or_dropped(
    append: Callable[[], Awaitable[None]],
    log: WriteAheadLog,
    space: Shortage,
    queue: EffectQueue,
    machine: Callable[[], Replica | ReplicaAdapter],
) -> None:
    """Append as soon as there is space; a voter's machine may say that it is too late.

    Then what waits in the queue for its turn to be stored is dropped with it. Raises
    DiskFullError where the log has failed.
    """
    dropped = False

    def ends() -> bool:
        nonlocal dropped
        link = machine()
        if not log.failed and isinstance(link, ReplicaAdapter):
            dropped = link.drops_unstored()
        return dropped or log.failed

    try:
        await space.outlast(append, unless=ends)
    except DiskFullError:
        if not dropped:
            raise
        queue.drop(Store)
