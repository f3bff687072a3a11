"""What operators order of a node; most goes for all databases of its process."""

from functools import partial
from typing import Any

from nexus.errors import WrongRoleError
from nexus.model.cluster import MembersView, Mode, NodeId, NodeStatus, Role
from nexus.model.position import Offset
from nexus.node.duties import Duties
from nexus.node.guest import Guest
from nexus.node.operators import governing, pausing, starting
from nexus.node.operators.governing import Handover
from nexus.node.operators.guests import Guests
from nexus.node.operators.losses import Losses, losses
from nexus.node.operators.promotion import promote, promote_too, require_no_witness
from nexus.node.parts import Parts
from nexus.node.report import node_status


class Orders:
    """A node as its operators have it; for its loop."""

    def __init__(
        self, duties: Duties, guest: Guest | None, guests: Guests[Any]
    ) -> None:
        """`guest`: it is the node of a named database, in another's process."""
        self._duties = duties
        self._guest = guest
        self._guests = guests

    @property
    def node_id(self) -> str:
        """This node's id, the same for ever."""
        return self._parts.state.node_id

    def status(self) -> NodeStatus:
        """GET /replication/status."""
        duties = self._duties
        return node_status(
            self._parts, duties.role, duties.report(), duties.history, duties.trouble
        )

    def pause(self, replica: str | None) -> None:
        """A replica applies no more; a master streams no more, to one or to all."""
        pausing.pause(self._duties, replica)

    def resume(self, replica: str | None, *, at_once: bool = False) -> None:
        """Undo `pause`; `at_once`: and apply now what a delay holds back."""
        pausing.resume(self._duties, replica, at_once=at_once)

    async def apply_until(
        self, last: Offset | None, before_us: int | None
    ) -> NodeStatus:
        """Apply up to that entry, or what was written before that time; then pause."""
        await pausing.apply_chosen(self._duties, last, before_us)
        return self.status()

    async def losses(self) -> Losses:
        """What a forced promotion of this node may lose; changes nothing."""
        require_no_witness(self._duties)
        return await losses(self._duties)

    async def promote(self, *, force: bool) -> NodeStatus:
        """Make this replica the master: by election, or by raising the epoch.

        Without `force` the old master must be gone, or a majority of voters agree.
        With it, entries that this node has not received are lost (the nodes that have
        them keep them under `diverged/`).
        """
        await promote(self._main_duties, force=force)
        await self._guests.follow(partial(promote_too, force=force))
        return self.status()

    async def switch_over(self, heir: str) -> Handover:
        """Hand over to another voter; nothing is lost, and this node follows it."""
        return await governing.switch_over(self._main_duties, NodeId(heir))

    def members(self) -> MembersView:
        """Who is in this cluster; WrongRoleError where nobody votes."""
        return governing.members(self._duties)

    async def add_voter(self, node_id: str, address: str) -> MembersView:
        """Have a connected learner vote; ClusterChangeError says why not."""
        return await governing.add_voter(self._main_duties, node_id, address)

    async def remove_voter(self, node_id: str) -> MembersView:
        """Have a voter vote no more."""
        return await governing.remove_voter(self._main_duties, node_id)

    async def set_auto_failover(self, *, enabled: bool) -> MembersView:
        """Begin or end maintenance for the cluster."""
        return await governing.set_auto_failover(self._main_duties, enabled=enabled)

    async def set_mode(self, mode: Mode, sync_quorum: int | None = None) -> NodeStatus:
        """Have acknowledgements mean this from now on, whoever reigns.

        `sync_quorum` voters must hold a write; 0: a majority; None: as it is.
        """
        await governing.set_mode(self._duties, mode, sync_quorum)
        return self.status()

    async def start_replication(
        self, role: Role, master_addr: str | None
    ) -> NodeStatus:
        """Take a role at run time; a replica needs the master's address.

        A voter that was stopped takes part again, and finds its master by itself.
        """
        order = partial(starting.start, role=role, master_addr=master_addr)
        await order(self._main_duties)
        await self._guests.follow(order)
        return self.status()

    async def stop_replication(self) -> NodeStatus:
        """Become a standalone node that takes writes for itself.

        A voter takes no part instead, and none of its writes: they would be taken back.
        """
        await starting.stop(self._main_duties)
        await self._guests.follow(starting.stop)
        return self.status()

    @property
    def _main_duties(self) -> Duties:
        """For what goes for all databases; raises WrongRoleError on a guest."""
        if self._guest is not None:
            raise WrongRoleError(
                f"the database {self._guest.database} has the master and the voters of "
                "its node's main one: ask that, without /databases/… in the path"
            )
        return self._duties

    @property
    def _parts(self) -> Parts:
        return self._duties.parts
