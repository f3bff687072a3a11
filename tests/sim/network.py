"""A simulated network: connections that keep order and break, votes that may be lost.

Between two connections nothing is ordered. A cut goes one way or both; what is sent on
a connection meanwhile arrives late, or never.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from nexus.protocol.messages import Error, Hello, Message, WalEntry, Welcome
from nexus.replication.effects import Peer

if TYPE_CHECKING:
    from sim.node import Process
    from sim.world import World

DIAL_TIMEOUT_MS = 150
RETRANSMIT_MS = 60
ANNOUNCE_EVERY_MS = 120
THIN_MS = 20
"""So often something comes over a thin line."""

REPEATED_MOST = 30
"""Of so many of the last frames any may come again."""

Frame = Message | tuple[WalEntry, ...]


def place_of(node_id: str) -> str:
    """Where a node is, or was: the name of its machine, and its address."""
    return node_id.rstrip("~")


class Connection:
    """One TCP stream, from a client to a server's port."""

    def __init__(
        self,
        network: "Network",
        client: "Process",
        server: "Process",
        take: Callable[["Connection", Frame], None],
        lost: Callable[["Connection", str], None],
    ) -> None:
        self.network = network
        self.client, self.server = client, server
        self.peer = Peer(f"{client.name}#{network.world.number()}")
        self._take, self._lost = take, lost
        self._client_open = self._server_open = True
        self._greeted = self._thin = False
        self._up_ms = self._down_ms = 0
        self._up: deque[Frame] = deque(maxlen=REPEATED_MOST)
        self._down: deque[Frame] = deque(maxlen=REPEATED_MOST)
        server.doors[self.peer] = self

    @property
    def is_open(self) -> bool:
        """Whether a side has not hung up."""
        return self._client_open or self._server_open

    def to_server(self, message: Frame) -> None:
        """The client says something."""
        for frame in self.network.repeated(message, self._up):
            self._up_ms = self.network.carry(
                self.client.name, self.server, self._up_ms, self._at_server, frame
            )

    def to_client(self, message: Frame) -> None:
        """The server says something."""
        for frame in self.network.repeated(message, self._down):
            self._down_ms = self.network.carry(
                self.server.name, self.client, self._down_ms, self._at_client, frame
            )
            self._comes_in_parts()

    def _comes_in_parts(self) -> None:
        """Over a thin line, until it is all there."""
        if not self._thin and self.network.part_bytes(
            self.server.name, self.client.name
        ):
            self._thin = True
            self.network.world.later(self.client, THIN_MS, self._at_client_in_part)

    def _at_client_in_part(self) -> None:
        self._thin = False
        server, client = self.server.name, self.client.name
        size = self.network.part_bytes(server, client)
        if size and self._client_open and self.network.world.time < self._down_ms:
            self.client.hears_part(self, size)
            self._comes_in_parts()

    def close_client(self) -> None:
        """The client hangs up; what it said before still arrives."""
        self._client_open = False
        self._up_ms = self.network.carry(
            self.client.name, self.server, self._up_ms, self._gone_client, None
        )

    def close_server(self) -> None:
        """The server hangs up; what it said before still arrives."""
        self._server_open = False
        self.server.doors.pop(self.peer, None)
        self._down_ms = self.network.carry(
            self.server.name, self.client, self._down_ms, self._gone_server, None
        )

    def breaks(self) -> None:
        """Both sides notice at once, whatever is on its way is lost."""
        was_client, was_server = self._client_open, self._server_open
        self._client_open = self._server_open = False
        if was_server and self.server.alive:
            self.network.world.later(self.server, 1, self._server_lost)
        if was_client and self.client.alive:
            self.network.world.later(self.client, 1, self._lost, self, "reset")

    def _at_server(self, message: Frame) -> None:
        if not self._server_open:
            return
        server, now_ms = self.server, self.server.now()
        if isinstance(message, Hello) and not self._greeted:
            self._greeted = True
            server.take(server.member.hello(self.peer, message, now_ms))
        elif not isinstance(message, tuple):
            server.take(server.member.receive(self.peer, message, now_ms))

    def _at_client(self, message: Frame) -> None:
        if self._client_open:
            self._take(self, message)

    def _gone_client(self, _: None) -> None:
        if self._server_open:
            self._server_open = False
            self._server_lost()

    def _server_lost(self) -> None:
        if self.server.doors.pop(self.peer, None) is not None:
            server = self.server
            server.take(server.member.disconnected(self.peer, server.now()))

    def _gone_server(self, _: None) -> None:
        if self._client_open:
            self._client_open = False
            self._lost(self, "the other side has closed")


class Network:
    """Who reaches whom, and how long it takes."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.cut: dict[tuple[str, str], tuple[int, int]] = {}
        """From, to: since when, and until when, nothing arrives."""
        self.thin: dict[tuple[str, str], tuple[int, int]] = {}
        """From, to: until when messages come in parts, and bytes that come at once."""
        self.storm_until = 0
        self.echo_until = 0
        self._votes: deque[tuple[Process, str, Any]] = deque(maxlen=REPEATED_MOST)

    def repeated(self, message: Frame, earlier: deque[Frame]) -> Iterable[Frame]:
        """What arrives when this is sent: in an echo twice, or an old frame again."""
        earlier.append(message)
        yield message
        if self.world.time < self.echo_until:
            chance = self.world.chance
            if chance.random() < 0.15:
                yield message
            if chance.random() < 0.15:
                yield chance.choice(earlier)

    def latency(self) -> int:
        """Of one message, in milliseconds."""
        chance = self.world.chance
        if self.world.time < self.storm_until:
            return chance.randrange(1, 120)
        return 1 if chance.random() < 0.7 else chance.randrange(1, 12)

    def is_cut(self, source: str, target: str) -> bool:
        """Whether nothing gets from one to the other now."""
        if not self.cut:
            return False
        return self.world.time < self.cut.get((source, target), (0, 0))[1]

    def sever(self, source: str, target: str, for_ms: int) -> None:
        """From now on nothing gets from one to the other."""
        now = self.world.time
        since, until = self.cut.get((source, target), (now, 0))
        since = since if until >= now else now
        self.cut[source, target] = (since, max(until, now + for_ms))

    def part_bytes(self, source: str, target: str) -> int:
        """What comes at once over a thin line from one to the other; 0: all of it."""
        until, size = self.thin.get((source, target), (0, 0))
        return size if self.world.time < until else 0

    def deaf_ms(self, name: str, others: Iterable[str]) -> int:
        """For how long a node has heard of none of the others; 0 if it may have."""
        since = [
            self.cut[other, name][0] if self.is_cut(other, name) else self.world.time
            for other in map(place_of, others)
            if other != name
        ]
        return self.world.time - max(since, default=self.world.time)

    def carry(
        self,
        source: str,
        target: "Process",
        not_before_ms: int,
        arrive: Callable[..., None],
        message: Any,
    ) -> int:
        """Deliver in order; when it arrives, unless the cut is long."""
        at_ms = self.world.time + self.latency()
        if self.is_cut(source, target.name):
            at_ms = self.cut[source, target.name][1] + RETRANSMIT_MS
        if self.part_bytes(source, target.name):
            at_ms = max(at_ms, self.thin[source, target.name][0])
        at_ms = max(at_ms, not_before_ms)
        if target.alive:
            self.world.at(target, at_ms, arrive, message)
        return at_ms

    def vote(self, source: "Process", target: str, message: Any) -> None:
        """To the node of this id, as a datagram: lost, late or twice."""
        chance, loss = self.world.chance, self.world.plan.loss_percent
        if self.world.time < self.storm_until:
            loss += 30
        copies = 1 if not loss or chance.random() * 100 >= loss else 0
        if loss and chance.random() * 100 < loss:
            copies += 1
        process = self.world.of_id(target)
        if process is None or self.is_cut(source.name, process.name):
            return
        sender = source.node_id
        for _ in range(copies):
            self.world.later(process, self.latency(), process.vote, sender, message)
        self._echo_votes()
        self._votes.append((process, sender, message))

    def _echo_votes(self) -> None:
        """In an echo, what was said in some election is heard again."""
        if self._votes and self.world.time < self.echo_until:
            process, sender, message = self.world.chance.choice(self._votes)
            if not self.is_cut(place_of(sender), process.name):
                self.world.later(process, self.latency(), process.vote, sender, message)

    def is_apart(self, name: str, address: str) -> bool:
        """Whether no connection comes about between these now."""
        return self.is_cut(name, address) or self.is_cut(address, name)

    def server_at(self, client: "Process", address: str) -> "Process | None":
        """Who answers there, if anybody does."""
        server = self.world.processes.get(address)
        if self.world.strangers.answers():
            server = self.world.strangers.as_process
        return None if self.is_apart(client.name, address) else server

    def dial(self, client: "Process", address: str, number: int) -> None:
        """Open a link; the answer comes in a while."""
        server = self.server_at(client, address)
        if server is None:
            wait_ms = DIAL_TIMEOUT_MS if self.is_apart(client.name, address) else 2
            self.world.later(
                client, wait_ms, client.lost, None, "nobody is there", number
            )
            return

        def accepted() -> None:
            if server.alive:
                link = Connection(self, client, server, client.from_master, client.lost)
                self.world.connections.append(link)
                client.connected(link, number)
            else:
                client.lost(None, "refused", number)

        self.world.later(client, self.latency() + self.latency(), accepted)

    def announce(self, client: "Process", address: str) -> None:
        """Tell a node of a reign, until it answers or the reign is over."""
        master = client.member.master
        if master is None:
            return
        done = False

        def answered(link: Connection, frame: Frame) -> None:
            nonlocal done
            if isinstance(frame, Welcome | Error) and not done:
                done = True
                client.take(client.member.announced(frame, client.now()))
                link.close_client()

        def again() -> None:
            if not done and client.member.master is master:
                self.announce(client, address)

        self.world.later(client, ANNOUNCE_EVERY_MS, again)
        server = self.world.processes.get(address)
        if server is None or self.is_cut(client.name, address):
            return
        link = Connection(self, client, server, answered, lambda *_: None)
        self.world.connections.append(link)
        link.to_server(master.announcement())
