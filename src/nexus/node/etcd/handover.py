"""A planned change of master under etcd: the key goes to a node that holds all."""

import asyncio
from collections.abc import Callable
from typing import Final

from nexus.errors import (
    ClusterChangeError,
    DiskFullError,
    NexusError,
    WrongRoleError,
)
from nexus.model.cluster import NodeId
from nexus.model.position import Offset
from nexus.node.etcd.holding import Keyholding
from nexus.node.parts import Parts
from nexus.node.roles.reigning import Reigning

LEASES: Final = 3
"""So many of them a switchover may take: for the list, the key and the first entry."""

LOOK_AGAIN_S: Final = 0.01


async def hand_key_over(parts: Parts, holding: Keyholding, heir: NodeId) -> None:
    """Return once `heir` reigns and this node follows it.

    Raises ClusterChangeError where the heir cannot take over, or has not: then this
    node takes writes again, or takes the key back.
    """
    reigning = holding.reigning
    synced = holding.leadership.synced
    if reigning is None or synced is None or not reigning.is_open:
        raise ClusterChangeError("this reign has not begun yet; nothing was changed")
    if holding.leadership.keys.rests:
        raise ClusterChangeError(
            "in maintenance no node takes the leader key by itself: end it first; "
            "nothing was changed"
        )
    parts.events.info("hands_over", f"to {heir}")
    reigning.hold_writes()
    try:
        async with asyncio.timeout(LEASES * holding.lease_s):
            await _settled(parts, reigning)
            synced.leave_to(heir)
            await _until(lambda: _follows(holding, heir))
    except WrongRoleError as error:
        raise ClusterChangeError(f"{error}; nothing was changed") from error
    except (TimeoutError, NexusError) as error:
        raise ClusterChangeError(
            f"{heir} has not taken over in time; nothing was lost, and this node takes "
            "writes as long as it reigns"
        ) from error
    finally:
        synced.keep()
        if holding.reigning is reigning:
            reigning.take_writes()


async def _settled(parts: Parts, reigning: Reigning) -> None:
    """Return once all that was written is acknowledged."""
    log = parts.log
    try:
        end: Offset = await reigning.manager.run(lambda: log.last_offset)
    except DiskFullError:
        end = log.last_offset  # nothing is begun before there is space
    await _until(lambda: reigning.machine.commit_offset >= end)


async def _until(claim: Callable[[], bool]) -> None:
    while not claim():  # noqa: ASYNC110 - several machines would have to tell
        await asyncio.sleep(LOOK_AGAIN_S)


def _follows(holding: Keyholding, heir: NodeId) -> bool:
    following = holding.following
    if following is None or not following.machine.is_connected:
        return False
    master = following.machine.master
    return master is not None and master.master_id == heir
