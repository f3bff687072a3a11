"""Nodes of another cluster, on addresses that were once, or are by mistake, ours.

They ask for votes, follow, announce a reign, and answer as masters; all of it with
epochs and positions that would win if anybody asked for nothing but those.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import msgspec

from nexus.model.cluster import NodeId
from nexus.model.entry import Payload, encode_payload
from nexus.model.operation import Rows
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Reign
from nexus.protocol.messages import (
    Hello,
    Message,
    Plan,
    VoteRequest,
    WalEntry,
    Welcome,
)
from nexus.replication.effects import Peer
from nexus.replication.handshake.introduction import hello_of
from nexus.replication.settings import Identity
from sim.network import Connection, Frame

if TYPE_CHECKING:
    from sim.node import Process
    from sim.world import World

EPOCH: Final = Epoch(1_000)
"""None of ours comes so far."""
END: Final = Offset(100_000)
EVERY_MS: Final = 40
NAME: Final = "stranger"

REIGN: Final = Reign(EPOCH, HistoryId("other"), NodeId(NAME), Offset(1), 0, "failover")
HISTORY: Final = EpochHistory((REIGN,))
POSITION: Final = HISTORY.position_at(END)
ENTRY: Final = encode_payload(Payload(0, "other", b"schema", (Rows(b"x=other"),)))
"""What no database of ours may ever hold."""


@dataclass
class Strangers:
    """Stands where a process does on a connection, and answers like a master."""

    world: "World"
    name: str = NAME
    alive: bool = True
    paused: bool = False
    until_ms: int = 0
    doors: dict[Peer, Connection] = field(default_factory=dict)

    @property
    def as_process(self) -> "Process":
        """As connections see it."""
        return cast("Process", self)

    @property
    def member(self) -> "Strangers":
        """It decides for itself."""
        return self

    def now(self) -> int:
        """Its clock is as good as any."""
        return self.world.time

    def answers(self) -> bool:
        """Whether the next dial ends here."""
        is_here = self.world.time < self.until_ms
        return is_here and self.world.chance.random() < 0.3

    def meet(self, for_ms: int) -> None:
        """Speak to everybody for a while."""
        self.until_ms = self.world.time + for_ms
        self._speak()

    def _speak(self) -> None:
        world = self.world
        if world.time >= self.until_ms:
            return
        world.soon(EVERY_MS, self._speak)
        name = world.chance.choice(world.plan.nodes)
        process = world.processes.get(name)
        if process is not None and not process.paused:
            world.chance.choice((self._asks, self._follows, self._announces))(process)

    def _asks(self, process: "Process") -> None:
        """For a vote, in the name of a voter: ids may be alike."""
        chance = self.world.chance
        candidate = NodeId(chance.choice(self.world.plan.voters))
        request = VoteRequest(
            "other",
            Epoch(EPOCH + 1),
            candidate,
            POSITION,
            POSITION.history_id,
            pre_vote=chance.random() < 0.5,
            transfer=chance.random() < 0.5,
        )
        self.world.later(process, 1, process.vote, candidate, request)

    def _follows(self, process: "Process") -> None:
        self._calls(process, self._hello(""))

    def _announces(self, process: "Process") -> None:
        self._calls(process, self._hello(NAME))

    def _hello(self, master_addr: str) -> Hello:
        identity = Identity(node_id=NodeId(NAME), cluster_id="other", address=NAME)
        hello = hello_of(identity, HISTORY, END, epoch=EPOCH)
        return msgspec.structs.replace(hello, master_addr=master_addr)

    def _calls(self, process: "Process", hello: Hello) -> None:
        def hears(link: Connection, frame: Frame) -> None:
            if isinstance(frame, Welcome):
                self.world.checkers.welcomes(process.name)
            link.close_client()

        link = Connection(
            self.world.network, self.as_process, process, hears, lambda *_: None
        )
        self.world.connections.append(link)
        link.to_server(hello)

    # --- As a server -----------------------------------------------------------------

    def take(self, effects: tuple[Callable[[], None], ...]) -> None:
        """Do what was decided."""
        for effect in effects:
            effect()

    def hello(self, peer: Peer, hello: Hello, _: int) -> tuple[Callable[[], None], ...]:
        """Welcome everybody, and send an entry."""
        door = self.doors[peer]
        welcome = Welcome(
            master_id=NodeId(NAME),
            cluster_id="other",
            epoch=EPOCH,
            current_offset=END,
            commit_offset=END,
            page_size=4096,
            encoding="UTF-8",
            plan=Plan.STREAM,
            from_offset=hello.position.offset,
            history=HISTORY,
        )
        offset = Offset(hello.position.offset + 1)
        entry = WalEntry(offset, EPOCH, REIGN.history_id, END, ENTRY)
        return (
            lambda: door.to_client(welcome),
            lambda: door.to_client((entry,)),
        )

    def receive(self, *_: Message) -> tuple[Callable[[], None], ...]:
        """Whatever it is."""
        return ()

    def disconnected(self, *_: object) -> tuple[Callable[[], None], ...]:
        """It does not mind."""
        return ()
