"""How a voting node comes to reign, and how it gives its reign up."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from nexus.errors import DiskFullError, NexusError
from nexus.model.cluster import Mode, Role
from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Configuration, Operation, Reigned
from nexus.model.position import Offset, Reign
from nexus.node.chronicle import read_chronicle
from nexus.node.clock import now_ms
from nexus.node.parts import Parts
from nexus.node.roles.following import Following
from nexus.node.roles.reigning import Reigning
from nexus.node.startup import PROMOTION_STEP, new_reign, next_epoch, redo
from nexus.node.streaming.adapters import MasterAdapter
from nexus.node.telemetry.transitions import record_reign
from nexus.replication.effects import StepDown
from nexus.replication.elections.effects import (
    BecomeMaster,
    HoldWrites,
    PersistVote,
    TakeWrites,
)
from nexus.replication.master import Master
from nexus.replication.members.effects import MemberEffects
from nexus.replication.members.member import Member
from nexus.replication.settings import LogExtent, RecoveredState


class Throne(Protocol):
    """The voting node, as far as its reign is concerned."""

    member: Member
    following: Following
    reigning: Reigning | None

    @property
    def parts(self) -> Parts:
        """What it works with."""

    @property
    def port(self) -> MasterAdapter:
        """Its member, as its port sees it."""

    def take(self, effects: MemberEffects) -> None:
        """Perform these in their order."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this beside all else."""


async def begin_reign(voting: Throne, order: BecomeMaster) -> None:
    """Write the reign's first entry; clients' follow once a quorum holds it."""
    parts, member = voting.parts, voting.member
    await voting.following.hold()
    if not parts.database.stands:
        await asyncio.to_thread(parts.database.open_writer)
    reign = new_reign(parts.storage, order.epoch, order.why, member.mode)
    extent = LogExtent(parts.log.first_offset, parts.log.durable_offset)
    voting.take(member.reign(reign, extent, now_ms()))
    machine = member.master
    if machine is None:  # another epoch was met meanwhile
        return
    voting.reigning = await _enthroned(voting, machine)
    operations: list[Operation] = [Reigned(reign)]
    if not member.configurations[-1].offset:
        formed = Configuration(
            parts.state.cluster_id,
            parts.state.voters,
            mode=member.mode,
            sync_quorum=parts.config.replication.sync_quorum or 0,
        )
        operations.append(formed)
        voting.take(member.configured(reign.first_offset, formed, now_ms()))
    try:
        durable = await asyncio.to_thread(append_first, parts, reign, tuple(operations))
    except DiskFullError as error:
        if parts.log.failed:
            raise
        # Another voter may have space: it gets its chance before this one stands again.
        parts.events.error("disk_full", str(error))
        if len(operations) > 1:
            voting.take(member.configured(reign.first_offset, None, now_ms()))
        voting.take(member.apply_failed(str(error), now_ms()))
        return
    # The member may have been deposed meanwhile, and have no history just now.
    record_reign(parts.events, machine.history)
    voting.take(member.stored(durable, now_ms()))


async def _enthroned(voting: Throne, master: Master) -> Reigning:
    """The reign, made where the writer's connection is: a checkpoint may be under way.

    It sets what SQLite calls, and no thread may while another one uses the connection.
    """
    made: Reigning = await voting.following.on_worker(
        lambda: Reigning(
            voting.parts,
            master,
            voting.member.mode,
            port=voting.port,
            lease=lambda: voting.member.may_acknowledge(now_ms()),
        )
    )
    return made


def append_first(
    parts: Parts, reign: Reign, operations: tuple[Operation, ...]
) -> Offset:
    """Write a reign's first entry to the log, synced; blocks."""
    payload = Payload(reign.started_us, "", b"", operations, mode=reign.mode)
    parts.log.append([Record(reign.epoch, reign.first_offset, encode_payload(payload))])
    return parts.log.sync()


async def take_writes(voting: Throne, order: TakeWrites) -> None:
    """The database holds everything, or a switchover has failed: clients may write."""
    reigning = voting.reigning
    if reigning is None:
        return
    if reigning.is_open:
        voting.parts.events.warning("switchover_failed", order.reason)
        reigning.take_writes()
        return
    # The member's history may be another one by now, or lack this reign: it is deposed.
    reign = reigning.machine.history.reigns[-1]
    await voting.following.rest()
    await asyncio.to_thread(reigning.open, reign)
    voting.parts.events.info("takes_writes", f"of epoch {reign.epoch}")
    # The epoch is durable since the vote; nobody waits for the rest.
    changes = {"role": Role.MASTER, "history_id": reign.history_id, "paused": False}
    await _update(voting.parts, **changes)


def hold_writes(voting: Throne, order: HoldWrites) -> None:
    """Begin no more transactions; tell the member when the last one has ended."""
    reigning = voting.reigning
    if reigning is not None and reigning.is_open:
        voting.parts.events.info("hands_over", f"to {order.heir}")
        reigning.hold_writes()
        voting.spawn(_drain(voting, reigning))


async def _drain(voting: Throne, reigning: Reigning) -> None:
    log = voting.parts.log
    try:
        end: Offset = await reigning.manager.run(lambda: log.last_offset)
    except DiskFullError:
        end = log.last_offset  # nothing is begun before there is space
    except NexusError:
        return  # the reign has ended meanwhile
    voting.take(voting.member.writes_held(end, now_ms()))


async def end_reign(voting: Throne, order: StepDown) -> None:
    """Take back what is not decided, then follow whoever reigns."""
    parts, reigning = voting.parts, voting.reigning
    parts.events.warning("stepping_down", order.reason)
    if reigning is not None:
        reigning.deposed_by(order)
        await reigning.leave()
    voting.reigning = None
    await _update(parts, role=Role.REPLICA)
    chronicle = await asyncio.to_thread(read_chronicle, parts.storage)
    recovered = RecoveredState(
        history=chronicle.history,
        durable_offset=parts.log.durable_offset,
        applied_offset=parts.database.position.offset,
        epoch=parts.state.epoch,
        paused=parts.state.paused,
    )
    voting.take(voting.member.follow(recovered))
    assert voting.member.replica is not None, "it has just begun to follow"
    await voting.following.wake(voting.member.replica)


async def keep_vote(parts: Parts, order: PersistVote) -> None:
    """Durable before it is cast."""
    epoch, voted_for = order.epoch, order.voted_for
    await _update(parts, epoch=epoch, voted_epoch=epoch, voted_for=voted_for)
    if voted_for == parts.state.node_id:
        parts.events.warning("election_began", f"it stands for epoch {epoch}")
    elif voted_for:
        parts.events.info("voted", f"for {voted_for} in epoch {epoch}")


def stand_alone(parts: Parts) -> None:
    """Make this node the only voter, by an entry of an epoch that nobody gave; blocks.

    What its log holds counts as decided, its mode too. Raises StorageError.
    """
    storage = parts.storage
    if not parts.database.stands:
        parts.database.open_writer()
    redo(storage)
    known = read_chronicle(storage).configurations
    logged = known[-1].configuration.mode if known else ""
    mode = Mode.named(logged, parts.config.replication.mode)
    history = parts.database.history()
    epoch = next_epoch(storage.catalog, history, step=PROMOTION_STEP)
    reign = new_reign(storage, epoch, "force", mode)
    voters = ((parts.state.node_id, parts.address),)
    alone = Configuration(parts.state.cluster_id, voters, mode=mode, sync_quorum=0)
    storage.catalog.update(
        epoch=reign.epoch, history_id=reign.history_id, incomplete=""
    )
    append_first(parts, reign, (Reigned(reign), alone))
    redo(storage)


async def _update(parts: Parts, **changes: Any) -> None:
    await asyncio.to_thread(parts.storage.catalog.update, **changes)


def keep_deposed(parts: Parts, order: StepDown) -> None:
    """A master without voters was deposed: durable on return.

    The answer to an announcement ends it. Who is killed between the answer and its
    change of role would reign anew, and nobody would tell it again.
    """
    follows = {"role": Role.REPLICA, "master_addr": order.master_addr}
    kept = follows if order.master_addr else {}
    parts.storage.catalog.update(epoch=order.epoch, **kept)
