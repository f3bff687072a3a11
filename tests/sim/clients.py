"""Simulated clients: they write with transaction ids, retry, and read."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from nexus.model.cluster import Mode
from nexus.model.position import Offset
from sim.checkers import RuleError
from sim.linearizable import NEVER, Operation
from sim.writer import COMMITTED, REFUSED, UNKNOWN, Job

if TYPE_CHECKING:
    from sim.node import Process
    from sim.world import World

KEYS = ("x", "y", "z")
PATIENCE_MS = 250
LONG_PATIENCE_MS = 1_100
TRIES = 6


class Client:
    """One at a time; what it saw is kept as a history."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.name = f"client{number}"
        self.chance = random.Random(world.plan.seed * 97 + number)
        self.history: list[Operation] = []
        self.doing: Write | None = None
        self.seen = Offset(0)
        """The last offset that it was told of: its session."""
        self.written = 0
        self._count = 0
        self._call = 0
        """The call under way: later answers of earlier ones are not listened to."""

    def whole_history(self) -> list[Operation]:
        """With what is still under way, whose outcome is unknown."""
        return self.history + ([self.doing.as_unknown()] if self.doing else [])

    def start(self) -> None:
        """Think, then do something, for ever."""
        self.world.soon(self.chance.randrange(5, 60), self._act)

    def _act(self) -> None:
        if not self.world.clients_act:
            return
        self._count += 1
        key, choice = self.chance.choice(KEYS), self.chance.random()
        if choice < 0.5:
            self.doing = Write(self, f"{self.name}:{self._count}", key)
            self.doing.attempt()
        elif choice < 0.85:
            self._read(key)
        else:
            self._read_session(key)

    def target(self) -> "Process | None":
        """Mostly a node that takes writes; now and then anyone."""
        if self.chance.random() < 0.75:
            name = self.world.who_takes_writes(self.chance)
        else:
            name = self.chance.choice(self.world.plan.nodes)
        return self.world.processes.get(name)

    def call(
        self,
        process: "Process | None",
        send: Callable[["Process"], None],
        gave_up: Callable[[], None],
    ) -> None:
        """Send a request, and give up after a while; both may be lost."""
        self._call += 1
        call = self._call

        def late() -> None:
            if call == self._call:
                self._call += 1
                gave_up()

        patient = self.chance.random() < 0.3
        self.world.soon(LONG_PATIENCE_MS if patient else PATIENCE_MS, late)
        if process is not None and self.chance.random() > 0.01:
            self.world.later(process, self.latency(), send, process)

    def answering(self, done: Callable[..., None]) -> Callable[..., None]:
        """A way back for an answer; it may be lost, and come too late."""
        call = self._call

        def answer(*values: object) -> None:
            if self.chance.random() < 0.02:
                return
            self.world.soon(self.latency(), arrive, *values)

        def arrive(*values: object) -> None:
            if call == self._call:
                self._call += 1
                done(*values)

        return answer

    def latency(self) -> int:
        """To a node, or back."""
        return self.chance.randrange(1, 4)

    def _read(self, key: str) -> None:
        """A strong read, from whatever node."""
        began = self.world.moment()

        def done(value: str | None) -> None:
            if value is not None:
                ended = self.world.moment()
                read = Operation(key, value, began, ended, is_write=False)
                self.history.append(read)
            self.start()

        def send(process: "Process") -> None:
            strong_read(process, key, answer)

        process = self.target()
        self._call += 1
        answer = self.answering(done)
        self._call -= 1
        self.call(process, send, self.start)

    def _read_session(self, key: str) -> None:
        """From one node's database, as of what this client has seen."""
        least, own = self.seen, self.written

        def done(at: int) -> None:
            if at < least or (self.world.plan.mode is Mode.SYNC and at < own):
                raise RuleError(f"{self.name} reads at {at}, having seen {least}")
            self.start()

        def send(process: "Process") -> None:
            if process.witness:
                return
            process.when_applied(least, lambda: answer(process.disk.applied))

        process = self.target()
        self._call += 1
        answer = self.answering(done)
        self._call -= 1
        self.call(process, send, self.start)
        _ = key


class Write:
    """One transaction, tried until its outcome is known or the client gives up."""

    def __init__(self, client: Client, transaction_id: str, key: str) -> None:
        self._client = client
        self._id = transaction_id
        self._key = key
        self._began = client.world.moment()
        self._tries = 0
        self._doubtful = False
        """Whether any try's outcome is unknown."""

    def as_unknown(self) -> Operation:
        """It may take effect at any time from its begin on."""
        return Operation(self._key, self._id, self._began, is_write=True)

    def attempt(self) -> None:
        """Ask a node; after the last try the client gives up."""
        client = self._client
        if self._tries >= TRIES:
            self._over(NEVER if self._doubtful else None)
            return
        self._tries += 1
        process = client.target()
        client._call += 1
        answer = client.answering(self._answered)
        client._call -= 1

        def send(process: "Process") -> None:
            process.writer.submit(Job(self._id, self._key, self._id, [answer]))

        client.call(process, send, self._gave_up)

    def _gave_up(self) -> None:
        self._doubtful = True
        self._again()

    def _answered(self, outcome: str, offset: int) -> None:
        client = self._client
        if outcome == COMMITTED:
            client.seen = max(client.seen, Offset(offset))
            client.written = max(client.written, offset)
            self._over(client.world.moment())
            return
        assert outcome in (REFUSED, UNKNOWN), "there are three outcomes"
        self._doubtful = self._doubtful or outcome == UNKNOWN
        self._again()

    def _again(self) -> None:
        self._client.world.soon(self._client.chance.randrange(1, 30), self.attempt)

    def _over(self, ended: float | None) -> None:
        client = self._client
        client.doing = None
        if ended is None:
            client.world.checkers.refuses(self._id)
        else:
            write = Operation(self._key, self._id, self._began, ended, is_write=True)
            client.history.append(write)
        client.start()


def strong_read(
    process: "Process", key: str, answer: Callable[[str | None], None]
) -> None:
    """As the API does it: the master proves that it reigns, then a database answers."""
    world, member = process.world, process.member

    def read_here(offset: Offset) -> None:
        process.when_applied(offset, lambda: answer(world.value(process.disk, key)))

    if process.witness:
        return
    if member.master is not None:
        ask(process, lambda offset: None if offset is None else read_here(offset))
        return
    replica = member.replica
    master = replica.master if replica is not None and replica.is_connected else None
    other = world.of_id(master.master_id) if master else None
    if other is None or world.network.is_cut(process.name, other.name):
        return

    def proven(offset: Offset | None) -> None:
        back = world.network.is_cut(other.name, process.name)
        if offset is not None and process.alive and not back:
            world.later(process, world.network.latency(), read_here, offset)

    world.later(other, world.network.latency(), ask, other, proven)


def ask(process: "Process", proven: Callable[[Offset | None], None]) -> None:
    """Up to where a strong read that begins now must see; None: not from here."""
    read_id = f"read{process.world.number()}"
    process.reads[read_id] = proven
    process.world.checkers.asks(read_id)
    process.take(process.member.read(read_id, process.now()))
