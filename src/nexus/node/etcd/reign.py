"""One reign under etcd: its first entry, the opening for clients, its end."""

import asyncio
from collections.abc import Callable
from typing import Final

from nexus.model.cluster import Mode, NodeId, Role
from nexus.model.operation import Reigned
from nexus.model.position import EpochHistory, Offset
from nexus.node.chronicle import read_chronicle
from nexus.node.clock import now_ms
from nexus.node.parts import Parts
from nexus.node.roles.accession import append_first
from nexus.node.roles.machines import master_settings
from nexus.node.roles.reigning import Reigning
from nexus.node.startup import new_reign, redo
from nexus.node.telemetry.transitions import record_reign
from nexus.replication.effects import StepDown
from nexus.replication.etcd.effects import EndReign
from nexus.replication.etcd.effects import Reign as Begin
from nexus.replication.etcd.master import KeyedMaster
from nexus.replication.settings import LogExtent
from nexus.storage.identity import fresh_id

NOT_YET: Final = (
    "this node has just taken the leader key, and waits until the other nodes hold "
    "what it has; nothing happened, try again soon"
)


class KeyedReign:
    """`prepared`, then `begin`, then `open` once its first entry is committed."""

    def __init__(
        self,
        parts: Parts,
        history: EpochHistory,
        required: frozenset[NodeId],
        may_acknowledge: Callable[[int], bool],
    ) -> None:
        """`history` ends with this reign; `required` must hold what it writes."""
        self._parts = parts
        self._own = history.reigns[-1]
        self._is_committed = False
        self.machine = KeyedMaster(
            parts.identity(),
            master_settings(parts, Mode.SYNC),
            history,
            LogExtent(parts.log.first_offset, parts.log.durable_offset),
            required,
            now_ms(),
        )
        self.reigning = Reigning(
            parts,
            self.machine,
            Mode.SYNC,
            lease=lambda: may_acknowledge(now_ms()),
        )
        self.reigning.hold_writes(NOT_YET)
        parts.publisher.reign(self.machine)

    async def begin(self) -> None:
        """Write the first entry; the others are sent all that this log holds."""
        durable = await asyncio.to_thread(
            append_first, self._parts, self._own, (Reigned(self._own),)
        )
        record_reign(self._parts.events, self.machine.history)
        self._parts.publisher.stored(durable)

    def committed(self, offset: Offset) -> bool:
        """Tell the writer; True once, when the first entry is committed."""
        self.reigning.committed(offset)
        before, first = self._is_committed, self._own.first_offset
        self._is_committed = offset >= first
        return self._is_committed and not before

    async def open(self) -> None:
        """Bring the database up to the log, and take clients' transactions."""
        if self.machine.deposed is not None:
            return
        await asyncio.to_thread(redo, self._parts.storage)
        await asyncio.to_thread(self.reigning.open, self._own)
        self.reigning.take_writes()
        self._parts.events.info("takes_writes", f"of epoch {self._own.epoch}")

    def end_now(self, order: EndReign) -> None:
        """Acknowledge nothing more."""
        self.reigning.deposed_by(StepDown(order.epoch, "", order.reason))

    async def leave(self) -> None:
        """End the writer; what a batch has not decided is taken back."""
        await self.reigning.leave()


async def prepared(parts: Parts, order: Begin) -> EpochHistory:
    """The history with this reign at its end, durable before it is used.

    Raises StorageError.
    """
    if not parts.database.stands:
        await asyncio.to_thread(parts.database.open_writer)
    history = (await asyncio.to_thread(read_chronicle, parts.storage)).history
    why = _why(parts, order, history)
    reign = new_reign(parts.storage, order.epoch, why, Mode.SYNC)
    await asyncio.to_thread(
        parts.storage.catalog.update,
        role=Role.MASTER,
        epoch=order.epoch,
        history_id=reign.history_id,
        cluster_id=parts.state.cluster_id or fresh_id(),
        master_addr="",
        paused=False,
    )
    return history.begun(reign)


def _why(parts: Parts, order: Begin, history: EpochHistory) -> str:
    """A switchover is one from the very reign that this node's log ends with."""
    if not history.reigns:
        return "start"
    last = history.reigns[-1]
    from_another = last.master_id != parts.state.node_id
    is_planned = from_another and last.epoch == order.handed_over
    return "switchover" if is_planned else "failover"
