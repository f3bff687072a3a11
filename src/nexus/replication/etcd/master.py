"""The master under etcd: an entry counts once every node of the list holds it."""

from nexus.model.cluster import NodeId
from nexus.model.position import EpochHistory, Offset
from nexus.replication.effects import Effects
from nexus.replication.etcd.synced import FollowerView
from nexus.replication.master import Master
from nexus.replication.settings import Identity, LogExtent, MasterSettings


class KeyedMaster(Master):
    """A master by the leader key; nothing is committed before its first entry."""

    def __init__(
        self,
        identity: Identity,
        settings: MasterSettings,
        history: EpochHistory,
        log: LogExtent,
        required: frozenset[NodeId],
        now_ms: int,
    ) -> None:
        """`required` are the nodes of the list that the leader key was taken with."""
        super().__init__(identity, settings, history, log, now_ms)
        self._streams.listed(required)

    @property
    def durable_offset(self) -> Offset:
        """The end of the own log, as far as it is synced."""
        return self._streams.log.durable_offset

    @property
    def promised_offset(self) -> Offset:
        """No entry after it has been acknowledged, by this master or one before.

        What this node inherited may be, though it has not yet seen it committed.
        """
        return max(self.commit_offset, self.history.reigns[-1].first_offset)

    def require(self, nodes: frozenset[NodeId], now_ms: int) -> Effects:
        """From now on each of these must hold an entry."""
        return self._streams.required_from(nodes, now_ms)

    def followers(self) -> tuple[FollowerView, ...]:
        """Every replica known, as the list is made from it."""
        return tuple(
            FollowerView(
                node_id=progress.node_id,
                may_reign=progress.voter,
                streams=progress.streams and not progress.paused,
                acked=progress.acked,
                heard_ms=progress.heard_ms,
            )
            for progress in self._fleet
        )
