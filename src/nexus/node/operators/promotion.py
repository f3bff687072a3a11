"""An operator makes a replica the master: by election, or by raising the epoch."""

import asyncio
from typing import Final

from nexus.errors import WrongRoleError
from nexus.model.cluster import Role
from nexus.node.clock import now_ms
from nexus.node.duties import Duties
from nexus.node.duty import Duty
from nexus.node.elections.forming import Forming
from nexus.node.elections.resting import Resting
from nexus.node.elections.voting import Voting
from nexus.node.etcd.holding import Keyholding
from nexus.node.roles.following import Following
from nexus.node.roles.reigning import Reigning
from nexus.replication.elections.moves import ElectionState

ELECTION_DEAD_TIMES: Final = 4
"""So long a promotion by vote may take."""


async def promote(duties: Duties, *, force: bool) -> None:
    """Make this replica the master; see Node.promote."""
    duty = duties.duty
    require_no_witness(duties)
    if isinstance(duty, Voting) and duties.parts.config.replication.apply_delay_ms:
        raise WrongRoleError(
            "this voter is a delayed replica, which never reigns; nothing was changed. "
            "Promote another one, or start this one with replication.apply_delay_ms = 0"
        )
    if isinstance(duty, Voting) and not force:
        return await elected(duty)
    if isinstance(duty, Keyholding):
        return await duty.promote(force=force)
    async with duties.changing:
        duties.parts  # noqa: B018 - NodeStoppedError comes first
        if isinstance(duties.duty, Voting):
            return await duties.force()
        if isinstance(duties.duty, Reigning) and force and duties.failure:
            # Two masters of one epoch: an operator says which one goes on.
            return await duties.reign(Role.MASTER, "force")
        following = _promotable(duties.duty)
        require_promotable(following, force=force)
        former = following.machine.master_addr
        await duties.reign(Role.MASTER, "force" if force else "promote")
        duties.spawn(duties.reigning().announce(former))
        return None


def require_no_witness(duties: Duties) -> None:
    """Raise WrongRoleError on a witness: by force too it has no rows to reign over."""
    if duties.parts.is_witness:
        raise WrongRoleError(
            "this node is a witness: it keeps the log and no database, and never "
            "reigns; nothing was changed. Promote a node that has the rows"
        )


async def promote_too(duties: Duties, *, force: bool) -> None:
    """Make this the master of a named database, as it has become the main one's.

    Where voters elect, that database's master hands over by itself.
    """
    votes = isinstance(duties.duty, Voting | Keyholding)
    if duties.role is not Role.MASTER and (force or not votes):
        await promote(duties, force=force)


def _promotable(duty: Duty | None) -> Following:
    if isinstance(duty, Resting):
        raise WrongRoleError(duty.reason)
    if isinstance(duty, Forming):
        raise WrongRoleError(f"there is no cluster yet: {duty.reason}")
    if not isinstance(duty, Following):
        raise WrongRoleError("this node is the master already")
    return duty


def require_promotable(following: Following, *, force: bool) -> None:
    """Raise WrongRoleError where a promotion would lose what it need not."""
    if not following.parts.state.cluster_id:
        raise WrongRoleError(
            "this replica has never met its master, so it holds nothing of the "
            "cluster; promote one that does"
        )
    if following.machine.is_connected and not force:
        raise WrongRoleError(
            "the master is alive and connected; stop it first, or say force: "
            "its entries that this replica lacks will be taken back"
        )
    if not following.parts.database.stands:
        raise WrongRoleError(
            "this replica has no database yet, so it holds nothing of the cluster; "
            "promote one that does"
        )
    if following.machine.apply_delay_ms and not force:
        held = following.machine.held_back(now_ms())
        raise WrongRoleError(
            f"this replica is delayed on purpose: as a master it would first "
            f"apply the {held} entries that it holds back; promote another one, "
            "or say force"
        )


async def elected(voting: Voting) -> None:
    """Have this node stand, and return once it reigns; raises WrongRoleError if not."""
    if voting.role is Role.MASTER:
        raise WrongRoleError("this node is the master already")
    member = voting.member
    dead_after_ms, pause_s = voting.patience
    deadline = now_ms() + ELECTION_DEAD_TIMES * dead_after_ms
    while now_ms() < deadline:
        if member.elector.state is ElectionState.FOLLOWER:
            voting.take(member.campaign(now_ms()))
        await asyncio.sleep(pause_s)
        if voting.takes_writes:
            return
    raise WrongRoleError(
        "the voters have not elected this node: a majority does not answer, or their "
        "master is alive, or their logs are longer; nothing was changed. Stop the "
        "master first, use switchover, or force what may lose entries"
    )
