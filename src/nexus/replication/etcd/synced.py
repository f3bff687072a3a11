"""Which nodes must hold an entry, and which list of them the master asks etcd for.

Hard-case 4: until etcd has confirmed a list, the nodes of the old one and of the asked
one all count. A request without an answer may still be carried out, as long as the list
has not changed: its nodes count until that is certain to have passed.
"""

from collections.abc import Iterable

import msgspec

from nexus.errors import WrongRoleError
from nexus.model.cluster import NodeId
from nexus.model.position import NO_OFFSET, Epoch, Offset
from nexus.replication.etcd.keys import SyncedKey


class FollowerView(msgspec.Struct, frozen=True, kw_only=True):
    """One replica, as its master sees it now."""

    node_id: NodeId
    may_reign: bool
    """Whether it takes part in elections; a read replica does not."""
    streams: bool
    """Whether it is connected, its log matches, and entries go to it."""
    acked: Offset
    heard_ms: int


class _Advance(msgspec.Struct):
    """Up to where a node got on, and since when it has not."""

    acked: Offset
    well_ms: int


class SyncedNodes:
    """The list of one reign."""

    def __init__(
        self,
        node_id: NodeId,
        listed: SyncedKey,
        *,
        epoch: Epoch,
        quorum: int,
        dead_after_ms: int,
        began_ms: int,
    ) -> None:
        self._node_id = node_id
        self._epoch = epoch
        self._quorum = quorum
        self._dead_after_ms = dead_after_ms
        self._began_ms = began_ms
        self.listed = listed
        """As etcd has confirmed it last."""
        self._asked: frozenset[NodeId] | None = None
        self._doubtful: frozenset[NodeId] = frozenset()
        self._doubts = False
        self._advances: dict[NodeId, _Advance] = {}
        self.heir = NodeId("")
        """Who alone is to stay in the list beside this node: it shall take over."""

    @property
    def required(self) -> frozenset[NodeId]:
        """Who must hold an entry before it may be acknowledged."""
        asked = self._asked or frozenset()
        return frozenset(self.listed.nodes) | asked | self._doubtful

    def leave_to(self, heir: NodeId) -> None:
        """Leave nobody but `heir` in the list: a switchover, until `keep`.

        Raises WrongRoleError where the heir is not known to hold everything.
        """
        others = set(self.listed.nodes) - {self._node_id}
        if heir not in others:
            known = ", ".join(sorted(others)) or "no other node"
            raise WrongRoleError(
                f"{heir or 'nobody'} is not known to hold every acknowledged entry; in "
                f"etcd's list: {known}"
            )
        self.heir = heir

    def keep(self) -> None:
        """The switchover is given up: others may come into the list again."""
        self.heir = NodeId("")

    @property
    def handed_over(self) -> Epoch:
        """What the list is to say of a switchover: this epoch ends; 0: it does not."""
        return self._epoch if self.heir else Epoch(0)

    @property
    def is_left(self) -> bool:
        """Whether etcd has confirmed that only the heir can take over."""
        if not self.heir or self._asked is not None or self._doubts:
            return False
        if self.listed.handed_over != self._epoch:
            return False
        return set(self.listed.nodes) == {self._node_id, self.heir}

    def presume_dead(self, node_id: NodeId) -> None:
        """This node's lease has run out: it need not be waited for."""
        long_ago = self._began_ms - self._dead_after_ms - 1
        self._advances[node_id] = _Advance(NO_OFFSET, long_ago)

    def ask(
        self,
        followers: Iterable[FollowerView],
        *,
        promised: Offset,
        durable: Offset,
        now_ms: int,
    ) -> frozenset[NodeId] | None:
        """The list to ask etcd for now; None if nothing is to be changed.

        No entry after `promised` has been acknowledged yet, in any reign.
        """
        if self._asked is not None:
            return None
        views = {view.node_id: view for view in followers}
        for view in views.values():
            self._note(view, durable, now_ms)
        well = {view.node_id for view in views.values() if self._is_well(view, now_ms)}
        wanted = frozenset(self.listed.nodes) | {self._node_id}
        if 1 + len(well) >= self._quorum:
            # Where too few are left nothing can be acknowledged: whoever is in the
            # list stays one who can take over.
            wanted -= {node for node in wanted if self._is_given_up(node, well, now_ms)}
        wanted |= {
            node
            for node in well
            if views[node].may_reign and views[node].acked >= promised
        }
        if self.heir:
            wanted &= {self._node_id, self.heir}
        stands = wanted == frozenset(self.listed.nodes)
        if stands and self.listed.handed_over == self.handed_over and not self._doubts:
            return None
        self._asked = wanted
        return wanted

    def changed(self, listed: SyncedKey) -> None:
        """Etcd has confirmed what was asked for: nothing earlier can come true now."""
        self.listed = listed
        self._settled()
        self._asked = None

    def refused(self, listed: SyncedKey) -> None:
        """The list was another one than this node thought."""
        self.seen(listed)
        self._asked = None

    def unanswered(self) -> None:
        """What was asked for may come true as long as the list does not change."""
        self._doubtful |= self._asked or frozenset()
        self._doubts = True
        self._asked = None

    def seen(self, listed: SyncedKey) -> None:
        """The list was read."""
        if listed.revision > self.listed.revision:
            self.listed = listed
            self._settled()

    def _settled(self) -> None:
        self._doubtful, self._doubts = frozenset(), False

    def _note(self, view: FollowerView, durable: Offset, now_ms: int) -> None:
        if not view.streams:
            return
        before = self._advances.get(view.node_id)
        gets_on = before is None or view.acked != before.acked
        if gets_on or view.acked >= durable:
            self._advances[view.node_id] = _Advance(view.acked, now_ms)

    def _is_well(self, view: FollowerView, now_ms: int) -> bool:
        if not view.streams or now_ms - view.heard_ms > self._dead_after_ms:
            return False
        return now_ms - self._advances[view.node_id].well_ms <= self._dead_after_ms

    def _is_given_up(self, node: NodeId, well: set[NodeId], now_ms: int) -> bool:
        if node in well or node == self._node_id:
            return False
        advance = self._advances.get(node)
        since_ms = self._began_ms if advance is None else advance.well_ms
        return now_ms - since_ms > self._dead_after_ms
