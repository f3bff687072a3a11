"""How a simulated replica asks the upstream that it was given whether it is well.

As node/homecoming does it, on a connection of its own, one question at a time. What
that upstream really was like when it answered is noted beside the answer.
"""

from collections import deque
from typing import TYPE_CHECKING

from typing_extensions import override

from nexus.model.position import Offset
from nexus.protocol.messages import Error, Hello, Welcome
from nexus.replication.effects import Report
from nexus.replication.following.homing import ANSWERS, Homing, Reply
from sim.network import Connection, Frame

if TYPE_CHECKING:
    from nexus.replication.members.voting_replica import VotingReplica
    from sim.node import Process

PATIENCE_MS = 200

NOBODY = "is not there"
FOLLOWS_IT = "follows it"
"""That can be news to the upstream itself: it counts where it lasts."""


class Question(Connection):
    """One Hello and its answer."""

    objection = "did not answer"
    """Why the upstream could not be followed when it answered; empty: it could."""

    least = Offset(0)
    """What it must hold: the one that asks had this a question ago."""

    @override
    def _at_server(self, message: Frame) -> None:
        if isinstance(message, Hello):
            self.objection = self._objection()
        super()._at_server(message)

    def _objection(self) -> str:
        server, client = self.server, self.client
        if server.name not in server.world.plan.nodes:
            return "is of another cluster"
        replica = server.member.replica
        if not (server.member.master or (replica and replica.passes_on)):
            return "follows nobody"
        if server.disk.durable < self.least:
            return f"holds {server.disk.durable} entries, not {self.least}"
        return FOLLOWS_IT if client in upstreams_of(server) else ""


def upstreams_of(process: "Process") -> list["Process"]:
    """Itself, whom it follows, and so on; a loop ends where it closes."""
    found: list[Process] = []
    step: Process | None = process
    while step is not None and step not in found:
        found.append(step)
        replica = step.member.replica
        follows = step.link is not None and replica is not None and replica.passes_on
        step = step.link.server if follows and step.link else None
    return found


class Homecoming:
    """The questions of one process, and how they were answered."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._question: Question | None = None
        self._asks = 0
        self._is_asking = False
        self._objections: deque[str] = deque(maxlen=ANSWERS)
        self._held = Offset(0)
        self.returns = 0

    def tick(self) -> None:
        """Ask, where the replica's machine says that it is time."""
        replica = self._process.member.replica
        if replica is None or replica.homing is None or self._is_asking:
            return
        address = replica.homing.due(self._process.now())
        if address:
            self._ask(replica, replica.homing, address)

    def _ask(self, replica: "VotingReplica", homing: Homing, address: str) -> None:
        process, world = self._process, self._process.world
        self._is_asking = True
        self._asks += 1
        number = self._asks
        least = min(self._held, process.disk.durable)
        self._held = process.disk.durable

        def answered(link: Connection | None, reply: Reply) -> None:
            if not self._is_asking or number != self._asks:
                return
            self._is_asking = False
            objection = link.objection if isinstance(link, Question) else NOBODY
            self._objections.append(objection)
            effects = homing.answered(
                reply,
                cluster_id=replica.cluster_id,
                epoch=replica.epoch,
                now_ms=process.now(),
            )
            if any(isinstance(one, Report) for one in effects):
                found = [one for one in self._objections if one != FOLLOWS_IT]
                if all(self._objections):
                    found = list(self._objections)
                world.checkers.returns(process.name, address, found)
                self.returns += 1
            process.take(effects)

        def hears(link: Connection, frame: Frame) -> None:
            if isinstance(frame, Welcome | Error):
                answered(link, frame)

        world.later(process, PATIENCE_MS, answered, None, None)
        server = world.network.server_at(process, address)
        if server is not None:
            lost = lambda link, _: answered(link, None)  # noqa: E731
            link = Question(world.network, process, server, hears, lost)
            link.least = least
            world.connections.append(link)
            world.later(process, PATIENCE_MS, link.close_client)
            link.to_server(replica.hello_at(homing.offset))
