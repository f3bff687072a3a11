"""Votes travel between proven nodes, over whichever connection stands."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nexus.errors import HandshakeRefusedError, ProtocolError
from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, EpochHistory, Offset
from nexus.node.elections.votelinks import (
    MOST_CONNECTIONS,
    VoteHooks,
    VoteLinks,
    VoteMessage,
)
from nexus.node.network.connection import Connection
from nexus.node.network.handshake import receive_hello
from nexus.node.network.security import TransportSecurity
from nexus.protocol.messages import Hello, Plan, TakeOver, WalAck, Welcome
from nexus.replication.elections.formation import Sighting
from nexus.replication.handshake.introduction import hello_of
from nexus.replication.settings import Identity
from node.builders import knowing, until

SECRET = "hush"


class Voter:
    """One end: its links behind a port, and what it has heard."""

    def __init__(self, name: str, cluster_id: str = "cluster") -> None:
        self.name, self.cluster_id = NodeId(name), cluster_id
        self.heard: list[tuple[NodeId, VoteMessage]] = []
        self.address = ""
        self.links = VoteLinks(
            VoteHooks(
                self._hello, self._welcome, lambda *said: self.heard.append(said)
            ),
            security=TransportSecurity(SECRET),
            heartbeat_ms=20,
            missed=100,
        )

    def _hello(self) -> Hello:
        identity = Identity(
            node_id=self.name, cluster_id=self.cluster_id, address=self.address
        )
        return hello_of(identity, EpochHistory(), Offset(0), epoch=Epoch(0))

    def _welcome(self) -> Welcome:
        return Welcome(
            self.name,
            self.cluster_id,
            Epoch(0),
            Offset(7),
            Offset(0),
            4096,
            "UTF-8",
            Plan.STREAM,
            Offset(0),
            EpochHistory(),
        )

    async def accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        connection = Connection(reader, writer)
        try:
            known = knowing(SECRET)
            greeting = await receive_hello(connection, known, timeout_s=60)
            hello = greeting.hello
            assert isinstance(hello, Hello)
            await self.links.serve(connection, hello, greeting.challenge)
        except (HandshakeRefusedError, ProtocolError, OSError, TimeoutError):
            pass
        finally:
            await connection.close()


@asynccontextmanager
async def listening(*voters: Voter) -> AsyncIterator[None]:
    servers = []
    for voter in voters:
        server = await asyncio.start_server(voter.accept, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        voter.address = f"{host}:{port}"
        servers.append(server)
    try:
        yield
    finally:
        for voter in voters:
            await voter.links.close()
        for server in servers:
            server.close()


async def test_both_ends_of_a_connection_send_and_know_who_has_sent() -> None:
    a, b = Voter("a"), Voter("b")
    async with listening(a, b):
        a.links.reach([b.address])
        await until(lambda: a.links._open and b.links._open)
        a.links.send(b.name, TakeOver(Epoch(3)))
        b.links.send(a.name, TakeOver(Epoch(4)))
        await until(lambda: a.heard and b.heard)
        assert b.heard == [(a.name, TakeOver(Epoch(3)))]
        assert a.heard == [(b.name, TakeOver(Epoch(4)))]
        a.links.send(NodeId("nobody"), TakeOver(Epoch(5)))


async def test_a_lost_connection_is_made_again_until_it_is_not_wanted() -> None:
    a, b = Voter("a"), Voter("b")
    async with listening(a, b):
        a.links.reach([b.address])
        await until(lambda: a.links._open)
        first = a.links._open[0]
        await b.links._open[0][1].close()
        await until(lambda: a.links._open and a.links._open[0] is not first)
        a.links.reach([])
        await until(lambda: not a.links._open and not b.links._open)


async def test_a_node_that_listens_and_says_nothing_is_left() -> None:
    a = Voter("a")
    async with listening(a):
        writers: list[asyncio.StreamWriter] = []
        silent = await asyncio.start_server(
            lambda _, writer: writers.append(writer), "127.0.0.1", 0
        )
        host, port = silent.sockets[0].getsockname()
        assert await a.links.sight(f"{host}:{port}") is None
        silent.close()
        writers[0].close()


async def test_a_node_tells_who_it_is_and_what_it_holds() -> None:
    a, b = Voter("a"), Voter("b", cluster_id="")
    async with listening(a, b):
        assert await b.links.sight(a.address) == Sighting(a.name, "cluster", Offset(7))
        assert await a.links.sight("127.0.0.1:1") is None


async def test_its_own_address_is_reached_once_and_no_more() -> None:
    a = Voter("a")
    async with listening(a):
        a.links.reach([a.address])
        await until(a.links._dialers[a.address].done)
        await until(lambda: not a.links._open)


async def test_a_node_of_another_cluster_is_not_listened_to() -> None:
    a, b = Voter("a"), Voter("b", cluster_id="other")
    async with listening(a, b):
        assert await a.links.sight(b.address) is None


async def test_what_is_no_word_of_an_election_ends_the_connection() -> None:
    a, b = Voter("a"), Voter("b")
    async with listening(a, b):
        a.links.reach([b.address])
        await until(lambda: a.links._open)
        ((_, connection),) = a.links._open
        connection.send(WalAck(Offset(1), Offset(1)))
        await until(lambda: a.links._open and a.links._open[0][1] is not connection)


@pytest.mark.parametrize("room", [0, 1])
async def test_connections_for_votes_are_bounded(room: int) -> None:
    a, b = Voter("a"), Voter("b")
    async with listening(a, b):
        filler = [(NodeId("x"), None)] * (MOST_CONNECTIONS - room)
        b.links._open.extend(filler)  # type: ignore[arg-type]  # nobody sends there
        assert (await a.links.sight(b.address) is not None) is bool(room)
        del b.links._open[:]
