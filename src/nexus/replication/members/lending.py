"""What a witness lends: its log, to a candidate that lacks some of it."""

from msgspec.structs import replace

from nexus.model.position import EpochHistory
from nexus.protocol.messages import ErrorCode, Hello
from nexus.replication.effects import (
    Close,
    Effects,
    Peer,
    without_orders,
)
from nexus.replication.master import Master
from nexus.replication.settings import (
    FETCHES,
    Identity,
    LogExtent,
    MasterSettings,
)


class Lending:
    """Serves its log as a master would, but decides nothing by the answers."""

    def __init__(self, identity: Identity, settings: MasterSettings) -> None:
        self._identity = identity
        # The commit offset is a master's to tell: nobody applies what is lent.
        self._settings = replace(settings, quorum=settings.max_replicas + 2)
        self._machine: Master | None = None
        self._peers: set[Peer] = set()

    def wanted(self, hello: Hello) -> bool:
        """Whether a candidate asks for a loan."""
        return FETCHES in hello.features

    def serves(self, peer: Peer) -> Master | None:
        """The machine of this peer's loan."""
        return self._machine if peer in self._peers else None

    def lend(
        self,
        peer: Peer,
        hello: Hello,
        history: EpochHistory,
        log: LogExtent,
        now_ms: int,
    ) -> Effects:
        """A candidate has come; the log stays as it is while it is lent."""
        if self._machine is None or self._machine.history != history:
            ended = self.end("the log has changed")
            self._machine = Master(self._identity, self._settings, history, log, now_ms)
        else:
            ended = self._machine.stored(log.durable_offset, now_ms)
        self._peers.add(peer)
        return without_orders((*ended, *self._machine.hello(peer, hello, now_ms)))

    def tick(self, now_ms: int) -> Effects:
        """Heartbeats, and peers that are silent."""
        return () if self._machine is None else self._machine.tick(now_ms)

    def end(self, reason: str) -> Effects:
        """The log is about to change: every loan ends."""
        peers, self._peers = self._peers, set()
        self._machine = None
        return tuple(Close(peer, ErrorCode.BUSY, reason) for peer in peers)
