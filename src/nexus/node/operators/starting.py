"""Operators start and stop replication on a node at run time."""

from nexus.errors import ClusterChangeError, RequestError, WrongRoleError
from nexus.model.cluster import Role
from nexus.node.duties import Duties
from nexus.node.elections.resting import Resting
from nexus.node.operators.losses import losses
from nexus.replication.quorum import majority


async def start(duties: Duties, role: Role, master_addr: str | None) -> None:
    """Take a role at run time; see Node.start_replication."""
    async with duties.changing:
        if role is not Role.REPLICA:
            duties.require_no_voter()
            return await duties.reign(role, "promote")
        if isinstance(duties.duty, Resting):
            return await duties.renew()
        if not master_addr:
            raise RequestError("a replica needs master_addr")
        duties.require_no_voter()
        return await duties.follow(master_addr)


async def stop(duties: Duties) -> None:
    """Become a standalone node, or a voter that rests; see Node.stop_replication."""
    async with duties.changing:
        if duties.votes:
            return await rest(duties)
        duties.require_no_voter()
        return await duties.reign(Role.STANDALONE, "promote")


async def rest(duties: Duties) -> None:
    """Have a voter take no part, where the others can do without it, until `renew`.

    Raises WrongRoleError on the master, ClusterChangeError where they cannot.
    """
    voting = duties.voting()
    if voting.role is Role.MASTER:
        raise WrongRoleError(
            "this node is the master: hand over first (POST /replication/switchover, "
            "or nexus switchover URL NODE_ID), then stop it"
        )
    others = (await losses(duties)).voters
    there = sum(one.durable_offset is not None for one in others)
    needed = majority(len(voting.voters))
    if there < needed:
        raise ClusterChangeError(
            f"only {there} of the other {len(others)} voters answer, and without this "
            f"node {needed} must: nothing was changed; start those first"
        )
    history = duties.history
    await duties.parts.publisher.retire("an operator has stopped this node")
    await duties.leave()
    duties.duty = Resting(duties.parts, history)
