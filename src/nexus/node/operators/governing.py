"""What operators change of a cluster that elects: master, voters, maintenance."""

import asyncio
import time
from functools import partial
from typing import Final

import msgspec
from msgspec.structs import replace

from nexus.errors import (
    ClusterChangeError,
    NodeStoppedError,
    WrongRoleError,
)
from nexus.model.cluster import (
    MembersView,
    MemberView,
    Mode,
    NodeId,
)
from nexus.model.operation import Configuration
from nexus.model.position import Offset
from nexus.node.clock import now_ms
from nexus.node.duties import Duties
from nexus.node.elections.voting import Voting
from nexus.node.etcd.handover import hand_key_over
from nexus.node.etcd.holding import Keyholding
from nexus.replication.master import Master
from nexus.replication.quorum import majority

HANDOVER_DEAD_TIMES: Final = 4
LEAST_HANDOVER_S: Final = 5.0
"""So long a switchover, or a change of the configuration, may take; the machines' own
deadlines are shorter, a disk's are not."""


class Handover(msgspec.Struct, frozen=True):
    """What a switchover has come to."""

    former_id: str
    master_id: str
    seconds: float


async def switch_over(duties: Duties, heir: NodeId) -> Handover:
    """Hand over to `heir`, and return once it reigns and this node follows it.

    Raises WrongRoleError where this node is no master, ClusterChangeError where the
    heir cannot reign now, or has not taken over: then this node takes writes again.
    """
    duties.reigning("a switchover begins at the master")
    began = time.monotonic()
    if isinstance(duties.duty, Keyholding):
        await hand_key_over(duties.parts, duties.duty, heir)
        own = duties.parts.state.node_id
        return Handover(own, heir, time.monotonic() - began)
    voting = duties.voting()
    try:
        voting.take(voting.member.switchover(heir, now_ms()))
    except WrongRoleError as error:
        raise ClusterChangeError(f"{error}; nothing was changed") from error
    dead_after_ms, pause_s = voting.patience
    limit_s = max(LEAST_HANDOVER_S, HANDOVER_DEAD_TIMES * dead_after_ms / 1000)
    deadline = began + limit_s
    while time.monotonic() < deadline:
        await asyncio.sleep(pause_s)
        master = _followed(voting)
        if master:
            own = duties.parts.state.node_id
            return Handover(own, master, time.monotonic() - began)
        if voting.takes_writes and not voting.is_handing_over:
            break
    raise ClusterChangeError(
        f"{heir} has not taken over in time; nothing was lost, and this node takes "
        "writes as long as it reigns"
    )


def _followed(voting: Voting) -> str:
    """The id of the master that this node follows; empty if there is none."""
    machine = voting.following.machine
    if voting.reigning is not None or not machine.is_connected or not machine.master:
        return ""
    return machine.master.master_id


def members(duties: Duties) -> MembersView:
    """The configuration in force here, and who is known to be connected."""
    voting = duties.voting()
    (offset, configuration), own = voting.configuration, duties.parts.state.node_id
    reigning = voting.reigning
    replicas = reigning.machine.replicas(now_ms()) if reigning else ()
    seen = {replica.id: replica for replica in replicas}
    voters = dict(configuration.voters)
    learners = {one.id: one.addr for one in replicas if one.id not in voters}
    return MembersView(
        configuration.cluster_id,
        offset,
        configuration.auto_failover,
        tuple(
            MemberView(
                node_id,
                address,
                node_id in voters,
                node_id == own or (node_id in seen and seen[node_id].healthy),
            )
            for node_id, address in (*voters.items(), *learners.items())
        ),
        configuration.sync_quorum,
    )


async def add_voter(duties: Duties, node_id: str, address: str) -> MembersView:
    """Have a node that follows this master vote from now on, or be logged elsewhere."""
    known = members(duties)
    member = next((one for one in known.members if one.id == node_id), None)
    if member is None or not member.connected:
        ids = ", ".join(one.id for one in known.members if one.connected) or "none"
        raise ClusterChangeError(
            f"{node_id} does not follow this master: start it with "
            f"replication.master_addr first (connected are {ids})"
        )
    if member.voter and address in ("", member.addr):
        raise ClusterChangeError(
            f"{node_id} is a voter already, logged at {member.addr}; if it is "
            "elsewhere by now, give that address"
        )
    _, configuration = duties.voting().configuration
    others = tuple(one for one in configuration.voters if one[0] != node_id)
    voters = (*others, (node_id, address or member.addr))
    return await _configure(duties, replace(configuration, voters=voters))


async def remove_voter(duties: Duties, node_id: str) -> MembersView:
    """Have a voter vote no more; it may be dead, and goes on as a learner if not."""
    _, configuration = duties.voting().configuration
    if node_id not in configuration.voter_ids:
        ids = ", ".join(configuration.voter_ids)
        raise ClusterChangeError(f"{node_id} is no voter; the voters are {ids}")
    voters = tuple(one for one in configuration.voters if one[0] != node_id)
    return await _configure(duties, replace(configuration, voters=voters))


async def set_auto_failover(duties: Duties, *, enabled: bool) -> MembersView:
    """Begin or end maintenance, for the whole cluster."""
    if isinstance(duties.duty, Keyholding):
        return await duties.duty.set_auto_failover(enabled=enabled)
    _, configuration = duties.voting().configuration
    return await _configure(duties, replace(configuration, auto_failover=enabled))


async def set_mode(duties: Duties, mode: Mode, sync_quorum: int | None) -> None:
    """Have acknowledgements mean this from now on, whoever reigns; logged on return.

    `sync_quorum` voters must hold a write in sync mode, 0: a majority, None: as it is.
    Raises WrongRoleError where this node is no master, or etcd wants sync.
    """
    if isinstance(duties.duty, Keyholding):
        raise WrongRoleError(
            "with replication.coordinator = 'etcd' the mode is sync, always"
        )
    if isinstance(duties.duty, Voting):
        _, configuration = duties.duty.configuration
        quorum = configuration.sync_quorum if sync_quorum is None else sync_quorum
        changed = replace(configuration, mode=mode, sync_quorum=quorum)
        if changed != configuration:
            await _configure(duties, changed)
            _warn_of_losses(duties, changed)
        return
    if sync_quorum is not None:
        raise ClusterChangeError(
            "nobody votes here, so the quorum is each master's own setting "
            "(replication.sync_quorum): nothing was changed"
        )
    async with duties.changing:
        reigning = duties.reigning("the mode is the master's to change")
        if reigning.mode is not mode:
            await duties.reign(duties.role, "mode", mode=mode)


def _warn_of_losses(duties: Duties, configuration: Configuration) -> None:
    quorum, count = configuration.sync_quorum, len(configuration.voters)
    needed = majority(count)
    if quorum is not None and 0 < quorum < needed:
        duties.parts.events.warning(
            "quorum_below_majority",
            f"a write is acknowledged once {quorum} of {count} voters "
            f"hold it: an election does without up to {needed - 1} of them, and what "
            "only those hold is lost then",
        )


async def _configure(duties: Duties, configuration: Configuration) -> MembersView:
    """Log the configuration: in force from its append, durable here on return.

    Committed, too, unless that takes longer than HANDOVER_DEAD_TIMES. Raises
    ClusterChangeError where it cannot be now; one change at a time.
    """
    voting, loop = duties.voting(), duties.parts.loop
    reigning = duties.reigning("the members are the master's to change")
    async with voting.configuring:
        mode = Mode.named(configuration.mode, reigning.mode)
        objection = voting.member.objection(configuration)
        if objection:
            raise ClusterChangeError(f"nothing was changed: {objection}")
        # A batch before it may wait for a witness that is at its cap (hard-case 11).
        voting.take(voting.member.changes(changes=True, now_ms=now_ms()))

        async def in_force(named: Configuration | None, waits_as: Mode) -> None:
            if named is None or waits_as is Mode.SYNC:
                reigning.wait_as(waits_as)
            offset = Offset(duties.parts.log.last_offset + 1)
            voting.take(voting.member.configured(offset, named, now_ms()))

        def tell(named: Configuration | None, waits_as: Mode) -> None:
            """On the writer thread: the loop has it before the log has."""
            told = in_force(named, waits_as)
            asyncio.run_coroutine_threadsafe(told, loop).result()

        try:
            offset = await reigning.manager.write(
                configuration,
                before=partial(tell, configuration, mode),
                undone=partial(tell, None, reigning.mode),
            )
            reigning.wait_as(mode)
        except NodeStoppedError as error:
            raise ClusterChangeError(
                "this node's reign ended meanwhile: whether the change stands is known "
                "once there is a master again; see GET /cluster/members"
            ) from error
        finally:
            voting.take(voting.member.changes(changes=False, now_ms=now_ms()))
        await _committed(voting, reigning.machine, offset)
    return members(duties)


async def _committed(voting: Voting, machine: Master, offset: Offset) -> None:
    """Return once `offset` is committed, or HANDOVER_DEAD_TIMES have passed."""
    dead_after_ms, pause_s = voting.patience
    deadline = now_ms() + HANDOVER_DEAD_TIMES * dead_after_ms
    while machine.commit_offset < offset and now_ms() <= deadline:  # noqa: ASYNC110 - the machine has no event for it
        await asyncio.sleep(pause_s)
