"""Under etcd, too, a master whose disk stays full hands over to a node with space."""

import asyncio
import time
from contextlib import suppress

from nexus.errors import ClusterChangeError
from nexus.model.cluster import NodeId
from nexus.node.clock import now_ms
from nexus.node.etcd.handover import hand_key_over
from nexus.node.etcd.holding import Keyholding
from nexus.node.parts import Parts
from nexus.replication.quorum import in_turn


class Relief:
    """Looks at each tick; one attempt a lease."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._full_since: float | None = None
        self._attempt: asyncio.Task[None] | None = None

    def tick(self, holding: Keyholding) -> None:
        """Hand over once the disk has been full for as long as a lease lasts."""
        reigning, now = holding.reigning, time.monotonic()
        lacks = reigning is not None and reigning.lacks_space
        if reigning is None or not lacks or self._parts.is_led:
            self._full_since = None
            return
        since = self._full_since = self._full_since or now
        under_way = self._attempt is not None and not self._attempt.done()
        if under_way or now - since < holding.lease_s:
            return
        self._full_since = now
        own = NodeId(self._parts.state.node_id)
        full = {one.id for one in reigning.machine.replicas(now_ms()) if one.no_space}
        heirs = in_turn(holding.heirs - {own} - full, own)
        if heirs:
            self._attempt = asyncio.create_task(self._hand_over(holding, heirs[0]))

    def stop(self) -> None:
        """End what is under way."""
        if self._attempt is not None:
            self._attempt.cancel()

    async def _hand_over(self, holding: Keyholding, heir: NodeId) -> None:
        with suppress(ClusterChangeError):  # tried again a lease later
            await hand_key_over(self._parts, holding, heir)
