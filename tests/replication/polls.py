"""Electors as bare machines: votes travel at once or are held, clocks stand still."""

from collections import deque
from dataclasses import dataclass, field

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.protocol.messages import TakeOver, VoteReply, VoteRequest
from nexus.replication.elections.effects import (
    BecomeMaster,
    ElectionEffect,
    ElectionEffects,
    ElectionSettings,
    Fetch,
    LogView,
    PersistVote,
    SendVote,
    VoteRecord,
)
from nexus.replication.elections.elector import Elector
from nexus.replication.elections.moves import ElectionState

HEARTBEAT_MS = 1_000
SPREAD_MS = 1_000
DEAD_MS = 3_000
EMPTY_LOG = LogView()
NO_VOTE = VoteRecord()


@dataclass
class Voter:
    """One node: what is on its disk, its machine, every effect it was asked for."""

    name: NodeId
    settings: ElectionSettings
    luck: float
    log: LogView = EMPTY_LOG
    record: VoteRecord = NO_VOTE
    elector: Elector | None = None
    seen: list[ElectionEffect] = field(default_factory=list)
    lender: str = ""
    reigned: list[int] = field(default_factory=list)


class Polls:
    """Performs what electors ask for; a link may be cut, a node crash and return."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.voters: dict[str, Voter] = {}
        self.cut: set[frozenset[str]] = set()
        self.mail: deque[tuple[str, str, VoteRequest | VoteReply | TakeOver]] = deque()

    def add(self, name: str, *, luck: float, stands: bool = True) -> None:
        settings = ElectionSettings(
            node_id=NodeId(name),
            cluster_id="cluster",
            stands=stands,
            heartbeat_ms=HEARTBEAT_MS,
            missed_heartbeats=DEAD_MS // HEARTBEAT_MS,
            spread_ms=SPREAD_MS,
        )
        self.voters[name] = Voter(NodeId(name), settings, luck)

    def form(self) -> None:
        """All that were added are voters, with empty logs, and start now."""
        names = tuple(sorted(voter.name for voter in self.voters.values()))
        for voter in self.voters.values():
            voter.log = LogView(voters=names)
            self.start(voter.name)

    def start(self, name: str) -> None:
        voter = self.voters[name]
        voter.elector = Elector(
            voter.settings,
            voter.record,
            lambda: voter.log,
            lambda: voter.luck,
            self.now_ms,
        )

    def crash(self, name: str) -> None:
        self.voters[name].elector = None
        self.mail = deque(one for one in self.mail if name not in one[:2])

    def write(self, name: str, epoch: int, offset: int) -> None:
        """The node's log ends there, by whatever way it came."""
        voter = self.voters[name]
        position = Position(Epoch(epoch), Offset(offset), HistoryId(f"h{epoch}"))
        voter.log = LogView(position=position, voters=voter.log.voters)

    def machine(self, name: str) -> Elector:
        elector = self.voters[name].elector
        assert elector is not None, f"{name} is down"
        return elector

    def reach(self, one: str, other: str) -> bool:
        is_up = self.voters[other].elector is not None
        return is_up and frozenset((one, other)) not in self.cut

    def heartbeat(self, name: str) -> None:
        """Whoever the master reaches hears it."""
        epoch = self.machine(name).epoch
        for other in self.voters:
            if other != name and self.reach(name, other):
                heard = self.machine(other).heard(epoch, self.now_ms)
                self.perform(other, heard)

    def tick(self, duration_ms: int) -> None:
        """Time goes on in steps of 100 ms; masters ping, votes are delivered."""
        until_ms = self.now_ms + duration_ms
        while self.now_ms < until_ms:
            self.now_ms += 100
            for name, voter in self.voters.items():
                if voter.elector is not None:
                    self.perform(name, voter.elector.tick(self.now_ms))
            self.deliver()
            if self.now_ms % HEARTBEAT_MS == 0:
                self.pinged()

    def pinged(self) -> None:
        for name, voter in self.voters.items():
            if voter.elector is not None and voter.elector.reigns:
                self.heartbeat(name)

    def deliver(self, most: int = 10_000) -> None:
        for _ in range(min(most, 10_000)):
            if not self.mail:
                return
            sender, to, message = self.mail.popleft()
            if self.reach(sender, to):
                answer = self.machine(to).receive(NodeId(sender), message, self.now_ms)
                self.perform(to, answer)

    def perform(self, name: str, effects: ElectionEffects) -> None:
        voter = self.voters[name]
        for effect in effects:
            voter.seen.append(effect)
            match effect:
                case PersistVote(epoch=epoch, voted_for=voted_for):
                    voter.record = VoteRecord(epoch, voted_for)
                case SendVote(to=to, message=message):
                    self.mail.append((name, to, message))
                case BecomeMaster(epoch=epoch):
                    voter.reigned.append(epoch)
                    self.write(name, epoch, voter.log.position.offset + 1)
                case Fetch(lender=lender):
                    voter.lender = lender
                case _:
                    pass

    def lend(self, name: str) -> None:
        """What the last Fetch asked for is done: the log is the lender's now."""
        self.voters[name].log = self.voters[self.voters[name].lender].log
        self.perform(name, self.machine(name).fetched(self.now_ms))

    def state(self, name: str) -> ElectionState:
        return self.machine(name).state
