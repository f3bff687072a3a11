"""A replica with its downstreams, where nobody votes; with voters it is a `Member`."""

from collections.abc import Callable, Sequence

from typing_extensions import override

from nexus.model.position import EpochHistory, Offset, Position
from nexus.protocol.messages import Hello, Message, WalEntry
from nexus.replication.cascades.relay import Relay
from nexus.replication.effects import Effects, Install, Peer, Rewind, without_orders
from nexus.replication.master import Master
from nexus.replication.replica import Replica
from nexus.replication.settings import (
    Identity,
    MasterSettings,
    RecoveredState,
    ReplicaSettings,
)


class RelayingReplica(Replica):
    """What is new in its log goes to its downstreams at once."""

    def __init__(
        self,
        identity: Identity,
        settings: ReplicaSettings,
        recovered: RecoveredState,
        random: Callable[[], float],
        downstream: MasterSettings,
    ) -> None:
        super().__init__(identity, settings, recovered, random)
        self.relay = Relay(identity, downstream)

    def _passed_on(self, effects: Effects, now_ms: int) -> Effects:
        replaced = any(isinstance(effect, Rewind | Install) for effect in effects)
        ended = self.relay.end("its log is replaced") if replaced else ()
        return (*ended, *effects, *self.relay.follow(self, now_ms))

    # --- The port --------------------------------------------------------------------

    def visited(self, peer: Peer, hello: Hello, first: Offset, now_ms: int) -> Effects:
        """A proven Hello on a new connection; this node's log begins with `first`."""
        if self.relay.wanted(hello):
            return self.relay.hello(peer, hello, self, first, now_ms)
        return self.hello(peer, hello)

    def served(self, peer: Peer, call: Callable[[Master], Effects]) -> Effects:
        """What the machine of a downstream makes of an event; nothing for another."""
        machine = self.relay.serves(peer)
        return () if machine is None else without_orders(call(machine))

    # --- The link --------------------------------------------------------------------

    @override
    def connected_to_master(self, now_ms: int) -> Effects:
        self.waiting = self.relay.waiting(now_ms)
        return super().connected_to_master(now_ms)

    @override
    def receive(self, message: Message, now_ms: int) -> Effects:
        return self._passed_on(super().receive(message, now_ms), now_ms)

    @override
    def receive_entries(self, entries: Sequence[WalEntry], now_ms: int) -> Effects:
        return self._passed_on(super().receive_entries(entries, now_ms), now_ms)

    @override
    def stored(self, offset: Offset, now_ms: int) -> Effects:
        return self._passed_on(super().stored(offset, now_ms), now_ms)

    @override
    def installed(
        self, position: Position, history: EpochHistory, now_ms: int
    ) -> Effects:
        return self._passed_on(super().installed(position, history, now_ms), now_ms)

    @override
    def rewound(self, now_ms: int) -> Effects:
        return self._passed_on(super().rewound(now_ms), now_ms)

    @override
    def apply_failed(self, reason: str, now_ms: int) -> Effects:
        return self._passed_on(super().apply_failed(reason, now_ms), now_ms)

    @override
    def tick(self, now_ms: int) -> Effects:
        effects = self._passed_on(super().tick(now_ms), now_ms)
        return (*effects, *self.relay.tick(now_ms))
