"""Carries votes between nodes, over connections of their own to the replication port.

A node keeps one connection to each other voter, and answers over whichever stands. The
sender of a message is the node that the handshake has proven; a message that finds no
connection is lost, as a network may lose it.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import structlog
from msgspec.structs import replace

from nexus.errors import NexusError, ProtocolError
from nexus.model.cluster import NodeId
from nexus.model.position import EpochHistory, Offset
from nexus.node.network.connection import Connection
from nexus.node.network.handshake import introduce, proven_welcome
from nexus.node.network.security import TransportSecurity
from nexus.node.parts import Parts
from nexus.protocol.messages import (
    VOTES,
    Error,
    ErrorCode,
    Hello,
    Ping,
    Plan,
    Pong,
    TakeOver,
    VoteReply,
    VoteRequest,
    Welcome,
)
from nexus.replication.elections.formation import Sighting

MOST_CONNECTIONS: Final = 64
"""Accepted at once: no cluster has so many voters."""

LONGEST_PAUSE_S: Final = 1.0
"""Between two tries to reach a voter."""

VoteMessage = VoteRequest | VoteReply | TakeOver

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class VoteHooks:
    """What the links ask of their node."""

    hello: Callable[[], Hello]
    """How this node introduces itself just now."""
    welcome: Callable[[], Welcome]
    """How it answers."""
    heard: Callable[[NodeId, VoteMessage], None]


class VoteLinks:
    """All connections for votes of one node; belongs to one event loop."""

    def __init__(
        self,
        hooks: VoteHooks,
        *,
        security: TransportSecurity,
        heartbeat_ms: int,
        missed: int,
    ) -> None:
        self._hooks = hooks
        self._security = security
        self._heartbeat_s = heartbeat_ms / 1000
        self._dead_after_s = self._heartbeat_s * missed
        self._dialers: dict[str, asyncio.Task[None]] = {}
        self._open: list[tuple[NodeId, Connection]] = []

    def reach(self, addresses: Iterable[str]) -> None:
        """From now on keep a connection to each of these, and to no other."""
        wanted = set(addresses)
        for address in self._dialers.keys() - wanted:
            self._dialers.pop(address).cancel()
        for address in sorted(wanted - self._dialers.keys()):
            self._dialers[address] = asyncio.create_task(self._keep(address))

    def send(self, to: NodeId, message: VoteMessage) -> None:
        """Send it if there is a connection: the newest is the likeliest to work."""
        for node_id, connection in reversed(self._open):
            if node_id == to:
                connection.send(message)
                return

    async def close(self) -> None:
        """End every connection."""
        dialers = list(self._dialers.values())
        self._dialers.clear()
        for dialer in dialers:
            dialer.cancel()
        await asyncio.gather(*dialers, return_exceptions=True)
        for _, connection in list(self._open):
            await connection.close()

    async def ask(self, address: str) -> Welcome | None:
        """Who the node at this address is, and its log; None: it does not answer."""
        try:
            connection, welcome = await self._introduced(address)
        except (OSError, TimeoutError, NexusError):
            return None
        await connection.close()
        return welcome

    async def sight(self, address: str) -> Sighting | None:
        """What the node at this address says of itself; None if it does not answer."""
        welcome = await self.ask(address)
        if welcome is None:
            return None
        return Sighting(
            welcome.master_id,
            welcome.cluster_id,
            welcome.current_offset,
            imported=welcome.history.is_import,
        )

    async def serve(
        self, connection: Connection, hello: Hello, challenge: bytes
    ) -> None:
        """A proven Hello that asks for votes: welcome it, and listen until it ends."""
        welcome = self._hooks.welcome()
        ours, theirs = welcome.cluster_id, hello.cluster_id
        if ours and theirs and ours != theirs:
            reason = f"{hello.node_id} is of cluster {theirs}, this is {ours}"
            await connection.refuse(ErrorCode.CLUSTER, reason)
            return
        if len(self._open) >= MOST_CONNECTIONS:
            await connection.refuse(ErrorCode.BUSY, "too many connections for votes")
            return
        connection.send(
            proven_welcome(welcome, self._security.secret, hello.nonce, challenge)
        )
        connection.handshake_done()
        await self._listen(hello.node_id, connection)

    async def _keep(self, address: str) -> None:
        """Connect to one address, again and again."""
        while True:
            try:
                connection, welcome = await self._introduced(address)
                if welcome.master_id == self._hooks.hello().node_id:
                    await connection.close()
                    return  # the address is this node's own
                pinging = asyncio.create_task(self._ping(connection))
                try:
                    await self._listen(welcome.master_id, connection)
                finally:
                    pinging.cancel()
                    await connection.close()
            except (OSError, TimeoutError, NexusError) as error:
                log.debug("no_votes_from", address=address, reason=str(error))
            await asyncio.sleep(min(self._heartbeat_s, LONGEST_PAUSE_S))

    async def _introduced(self, address: str) -> tuple[Connection, Welcome]:
        """Connected, with the other node's word; raises what went wrong."""
        limit_s = max(1.0, self._dead_after_s)
        connection = await self._security.dial(address, timeout_s=limit_s)
        try:
            hello = self._hooks.hello()
            hello = replace(hello, features=(*hello.features, VOTES))
            answer = await introduce(
                connection, hello, self._security.secret, timeout_s=limit_s
            )
        except BaseException:
            await connection.close()
            raise
        if isinstance(answer, Error):
            await connection.close()
            raise ProtocolError(f"{address} answers {answer.code}: {answer.message}")
        return connection, answer

    async def _ping(self, connection: Connection) -> None:
        """Without it a connection whose packets vanish would be trusted for minutes."""
        while True:
            connection.send(Ping(0))
            await asyncio.sleep(self._heartbeat_s)

    async def _listen(self, node_id: NodeId, connection: Connection) -> None:
        link = (node_id, connection)
        self._open.append(link)
        try:
            while True:
                async with asyncio.timeout(2 * self._dead_after_s):
                    messages = await connection.receive()
                if not messages:
                    return
                for message in messages:
                    match message:
                        case VoteRequest() | VoteReply() | TakeOver():
                            self._hooks.heard(node_id, message)
                        case Ping():
                            connection.send(Pong(message.timestamp))
                        case Pong():
                            pass
                        case _:
                            raise ProtocolError(
                                f"{type(message).__name__} is no word of an election"
                            )
        finally:
            self._open.remove(link)


def vote_welcome(parts: Parts, history: EpochHistory) -> Welcome:
    """How a node answers who asks it for votes: who it is, and where its log ends."""
    end = parts.log.durable_offset
    return Welcome(
        master_id=parts.state.node_id,
        cluster_id=parts.state.cluster_id,
        epoch=parts.state.epoch,
        current_offset=end,
        commit_offset=Offset(0),
        page_size=parts.database.page_size,
        encoding=parts.database.encoding,
        plan=Plan.STREAM,
        from_offset=end,
        history=history,
        http_url=parts.http_url,
    )
