"""A master and replicas as bare machines: a fake wire, a log in memory, no clock.

What a node has made durable survives `crash`; everything else is in its machine.
"""

from collections import deque
from dataclasses import dataclass, field

from nexus.model.cluster import NodeId
from nexus.model.entry import Record
from nexus.model.position import (
    Epoch,
    EpochHistory,
    HistoryId,
    Offset,
    Position,
    Reign,
)
from nexus.protocol.messages import (
    Error,
    Hello,
    Message,
    SnapshotChunk,
    SnapshotComplete,
    SnapshotMeta,
    WalEntry,
)
from nexus.replication.effects import (
    Adopt,
    Apply,
    Close,
    Connect,
    Disconnect,
    Diverged,
    Effect,
    Effects,
    Install,
    Peer,
    ReceiveSnapshot,
    Rewind,
    Send,
    SendSnapshot,
    Store,
    StoreChunk,
    Stream,
)
from nexus.replication.handshake.announcement import answered
from nexus.replication.master import Master
from nexus.replication.replica import Replica
from nexus.replication.settings import (
    Identity,
    LogExtent,
    MasterSettings,
    RecoveredState,
    ReplicaSettings,
)

HEARTBEAT_MS = 1_000
NO_EPOCH = Epoch(0)
NO_HISTORY = EpochHistory()
FIRST = Offset(1)


@dataclass
class Wire:
    """One connection; `peer` is its name at the master's."""

    peer: Peer
    replica: "Node"
    master: "Node"
    is_open: bool = True


@dataclass
class Node:
    """What one node has on disk, its machine, and every effect it was asked for."""

    name: str
    cluster_id: str = ""
    epoch: Epoch = NO_EPOCH
    history: EpochHistory = NO_HISTORY
    first_offset: Offset = FIRST
    log: list[Record] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    exported: list[bytes] = field(default_factory=list)
    can_rewind: bool = True
    """Whether what it has applied can be taken back: no schema statement is there."""
    snapshots: dict[str, tuple[Position, list[bytes]]] = field(default_factory=dict)
    master: Master | None = None
    replica: Replica | None = None
    connect: Connect | None = None
    connect_at_ms: int = 0
    receiving: SnapshotMeta | None = None
    chunks: list[bytes] = field(default_factory=list)
    is_up: bool = True
    seen: list[Effect] = field(default_factory=list)

    @property
    def end(self) -> Offset:
        return Offset(self.first_offset + len(self.log) - 1)

    @property
    def applied(self) -> Offset:
        return Offset(len(self.rows))

    @property
    def position(self) -> Position:
        return self.history.position_at(self.end)

    def record(self, offset: int) -> Record:
        assert offset >= self.first_offset, "retention has dropped it"
        return self.log[offset - self.first_offset]


class World:
    """Performs what the machines ask for, message by message."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.nodes: dict[str, Node] = {}
        self.wires: list[Wire] = []
        self.in_flight: deque[tuple[Wire, bool, Message]] = deque()
        """Wire, whether towards the master, message."""

    def node(self, name: str) -> Node:
        return self.nodes.setdefault(name, Node(name))

    # --- What a scenario does --------------------------------------------------------

    def reign(self, name: str, *, quorum: int = 1, window: int = 65_536) -> None:
        """The node becomes master of a new epoch, with an empty first entry."""
        node = self.node(name)
        self.crash(name)
        node.is_up = True
        node.cluster_id = node.cluster_id or f"cluster-{name}"
        node.epoch = Epoch(node.epoch + 1)
        first = Offset(node.end + 1)
        history_id = HistoryId(f"{name}{node.epoch}")
        node.history = node.history.begun(
            Reign(node.epoch, history_id, name, first, self.now_ms, "promote")
        )
        settings = MasterSettings(
            heartbeat_ms=HEARTBEAT_MS,
            quorum=quorum,
            window_entries=window,
            max_transfers=1,
        )
        extent = LogExtent(node.first_offset, node.end)
        node.master = Master(
            self._identity(node), settings, node.history, extent, self.now_ms
        )
        self.write(name, 1)

    def follow(self, name: str, addresses: tuple[str, ...]) -> None:
        """The node becomes (again) a replica, from what it has on disk."""
        node = self.node(name)
        self.crash(name)
        node.is_up = True
        settings = ReplicaSettings(addresses=addresses, heartbeat_ms=HEARTBEAT_MS)
        recovered = RecoveredState(
            history=node.history,
            durable_offset=node.end,
            applied_offset=node.applied,
            epoch=node.epoch,
        )
        node.replica = Replica(self._identity(node), settings, recovered, lambda: 0.0)
        self.perform(node, node.replica.start())

    def write(self, name: str, count: int) -> None:
        """The master writes entries, each durable and applied at once."""
        node = self.nodes[name]
        assert node.master is not None
        for _ in range(count):
            offset = Offset(node.end + 1)
            payload = f"{node.history.history_id}:{offset}".encode()
            node.log.append(Record(node.epoch, offset, payload))
            node.rows.append(payload)
        self.perform(node, node.master.stored(node.end, self.now_ms))

    def crash(self, name: str) -> None:
        """The machine and its connections are gone; the disk stays."""
        node = self.nodes[name]
        node.is_up = False
        for wire in list(self.wires):
            if node in (wire.replica, wire.master):
                self.drop(wire)
        node.master = node.replica = node.connect = None

    def lose(self, name: str, count: int) -> None:
        """A power cut takes the last entries, which were never synced."""
        self.crash(name)
        node = self.nodes[name]
        del node.log[-count:]
        del node.rows[node.end :]
        node.history = node.history.truncated_after(node.end)

    def drop(self, wire: Wire) -> None:
        """The connection breaks, with all that was on its way."""
        self._end(wire)
        if wire.replica.replica is not None and wire.replica.is_up:
            self.perform(wire.replica, wire.replica.replica.disconnected("dropped"))
        if wire.master.master is not None and wire.master.is_up:
            gone = wire.master.master.disconnected(wire.peer, self.now_ms)
            self.perform(wire.master, gone)

    def drop_all_of(self, name: str) -> None:
        for wire in [one for one in self.wires if one.replica.name == name]:
            self.drop(wire)

    def tick(self, duration_ms: int) -> None:
        """Time goes on in steps of half a heartbeat; everything is delivered."""
        until_ms = self.now_ms + duration_ms
        while self.now_ms < until_ms:
            self.now_ms = min(until_ms, self.now_ms + HEARTBEAT_MS // 2)
            for node in self.nodes.values():
                if node.master is not None:
                    self.perform(node, node.master.tick(self.now_ms))
                if node.replica is not None:
                    self.perform(node, node.replica.tick(self.now_ms))
            self.deliver()

    def deliver(self, most: int = 100_000) -> None:
        """Deliver up to `most` messages, and connect whoever is due."""
        for _ in range(most):
            self._connect_due()
            if not self.in_flight:
                return
            wire, to_master, message = self.in_flight.popleft()
            if to_master:
                self._to_master(wire, message)
            else:
                self._to_replica(wire, message)

    def trim(self, name: str, first_offset: int) -> None:
        """Retention drops the entries before `first_offset`."""
        node = self.nodes[name]
        node.log = node.log[first_offset - node.first_offset :]
        node.first_offset = Offset(first_offset)
        if node.master is not None:
            node.master.retained(node.first_offset)

    def announce(self, name: str, other: str) -> None:
        """A new master tells another node of itself, on a connection of its own."""
        node, visited = self.nodes[name], self.nodes[other]
        assert node.master is not None
        hello = node.master.announcement()
        peer = Peer(f"announcement-of-{name}")
        answer: Message | None = None
        if visited.master is not None:
            effects = visited.master.hello(peer, hello, self.now_ms)
        else:
            assert visited.replica is not None
            effects = visited.replica.hello(peer, hello)
        for effect in effects:
            if isinstance(effect, Close) and effect.peer == peer:
                answer = error_of(effect)
        self.perform(visited, effects)
        assert isinstance(answer, Error)
        self.perform(node, answered(answer, node.history))

    # --- What the drivers do ---------------------------------------------------------

    def perform(self, node: Node, effects: Effects) -> None:
        for effect in effects:
            node.seen.append(effect)
            if node.master is not None:
                self._perform_master(node, node.master, effect)
            elif node.replica is not None:
                self._perform_replica(node, node.replica, effect)

    def _perform_master(self, node: Node, machine: Master, effect: Effect) -> None:
        match effect:
            case Send(peer=peer, message=message):
                self._send_from_master(node, peer, message)
            case Close(peer=peer):
                self._send_from_master(node, peer, error_of(effect))
            case Stream():
                self._stream(node, machine, effect)
            case SendSnapshot():
                self._send_snapshot(node, machine, effect)
            case _:
                pass

    def _stream(self, node: Node, machine: Master, effect: Stream) -> None:
        if effect.start < node.first_offset:
            gap = machine.log_gap(effect.peer, node.first_offset, self.now_ms)
            return self.perform(node, gap)
        for offset in range(effect.start, effect.stop):
            record = node.record(offset)
            history_id = node.history.position_at(record.offset).history_id
            entry = WalEntry(
                record.offset,
                record.epoch,
                history_id,
                effect.commit_offset,
                record.payload,
            )
            self._send_from_master(node, effect.peer, entry)
        size = effect.stop - effect.start
        done = machine.streamed(effect.peer, effect.stop, size, self.now_ms)
        return self.perform(node, done)

    def _send_snapshot(self, node: Node, machine: Master, order: SendSnapshot) -> None:
        start = order.next_chunk
        snapshot_id, grows = order.snapshot_id, False
        known = node.snapshots.get(snapshot_id)
        if known is None or known[0].offset + 1 < node.first_offset:
            snapshot_id, start = f"s{node.end}", 0
            known = node.snapshots[snapshot_id] = (node.position, list(node.rows))
            grows = order.takes_growing
        position, rows = known
        self.perform(node, machine.snapshot_started(order.peer, position))
        meta = SnapshotMeta(snapshot_id, len(rows), len(rows), 0, position)
        early = SnapshotMeta(snapshot_id, 0, 0, 0, position)
        self._send_from_master(node, order.peer, early if grows else meta)
        for index in range(start, len(rows)):
            chunk = SnapshotChunk(snapshot_id, index, rows[index], 0)
            self._send_from_master(node, order.peer, chunk)
        if grows:
            self._send_from_master(node, order.peer, meta)
        complete = SnapshotComplete(snapshot_id, success=True)
        self._send_from_master(node, order.peer, complete)
        self.perform(node, machine.snapshot_sent(order.peer))

    def _send_from_master(self, node: Node, peer: Peer, message: Message) -> None:
        for wire in self.wires:
            if wire.peer == peer and wire.master is node:
                self.in_flight.append((wire, False, message))

    def _perform_replica(self, node: Node, machine: Replica, effect: Effect) -> None:
        match effect:
            case Send(message=message):
                for wire in [one for one in self.wires if one.replica is node]:
                    self.in_flight.append((wire, True, message))
            case Connect(delay_ms=delay_ms):
                node.connect = effect
                node.connect_at_ms = self.now_ms + delay_ms
            case Disconnect(reason=reason, code=code):
                for wire in [one for one in self.wires if one.replica is node]:
                    self._hang_up(wire, Error(code, reason) if code else None)
            case _:
                self._perform_disk(node, machine, effect)

    def _perform_disk(self, node: Node, machine: Replica, effect: Effect) -> None:
        match effect:
            case Adopt(welcome=welcome):
                node.cluster_id, node.epoch = welcome.cluster_id, welcome.epoch
            case Store(records=records):
                assert records[0].offset == node.end + 1
                node.log.extend(records)
                node.history = machine.history
                self.perform(node, machine.stored(node.end, self.now_ms))
            case Apply(up_to=up_to):
                for offset in range(node.applied + 1, up_to + 1):
                    node.rows.append(node.record(offset).payload)
                self.perform(node, machine.applied(up_to, self.now_ms))
            case Diverged(after=after):
                lost = [one.payload for one in node.log if one.offset > after]
                node.exported.extend(lost)
            case Rewind(to=to):
                self._rewind(node, machine, to)
            case _:
                self._perform_full_sync(node, machine, effect)

    def _rewind(self, node: Node, machine: Replica, to: Position) -> None:
        if node.first_offset > to.offset + 1 or not node.can_rewind:
            failed = machine.rewind_failed("cannot be taken back", self.now_ms)
            return self.perform(node, failed)
        assert node.history.position_at(to.offset) == to
        assert node.exported[-1] == node.log[-1].payload, "what goes was kept before"
        del node.rows[to.offset :]
        del node.log[to.offset + 1 - node.first_offset :]
        node.history = node.history.truncated_after(to.offset)
        return self.perform(node, machine.rewound(self.now_ms))

    def _perform_full_sync(self, node: Node, machine: Replica, effect: Effect) -> None:
        match effect:
            case ReceiveSnapshot(meta=meta, next_chunk=next_chunk):
                node.receiving = meta
                node.chunks = node.chunks[:next_chunk]
            case StoreChunk(chunk=chunk):
                assert chunk.chunk_index == len(node.chunks)
                node.chunks.append(chunk.data)
            case Install(position=position):
                assert machine.master is not None
                node.rows, node.chunks = list(node.chunks), []
                node.log, node.first_offset = [], Offset(position.offset + 1)
                history = machine.master.history.truncated_after(position.offset)
                node.history = history
                done = machine.installed(position, history, self.now_ms)
                self.perform(node, done)
            case _:
                pass

    # --- The wire --------------------------------------------------------------------

    def _connect_due(self) -> None:
        for node in self.nodes.values():
            order = node.connect
            if (
                order is None
                or node.replica is None
                or node.connect_at_ms > self.now_ms
            ):
                continue
            node.connect = None
            target = self.nodes.get(order.address)
            if target is None or not target.is_up:
                self.perform(node, node.replica.disconnected("nobody is there"))
                continue
            self.wires.append(Wire(Peer(f"{node.name}#{id(order)}"), node, target))
            effects = node.replica.connected_to_master(self.now_ms)
            self.perform(node, effects)

    def _to_master(self, wire: Wire, message: Message) -> None:
        node = wire.master
        if node.master is not None and isinstance(message, Hello):
            effects = node.master.hello(wire.peer, message, self.now_ms)
            self.perform(node, effects)
        elif node.master is not None:
            effects = node.master.receive(wire.peer, message, self.now_ms)
            self.perform(node, effects)
        elif node.replica is not None and isinstance(message, Hello):
            for effect in node.replica.hello(wire.peer, message):
                if isinstance(effect, Close):
                    self.in_flight.append((wire, False, error_of(effect)))

    def _to_replica(self, wire: Wire, message: Message) -> None:
        machine = wire.replica.replica
        if machine is not None:
            self.perform(wire.replica, machine.receive(message, self.now_ms))

    def _hang_up(self, wire: Wire, last: Error | None) -> None:
        """The replica closes: the master reads what was said before, then the end."""
        said = [one for one in self.in_flight if one[0] is wire and one[1]]
        self._end(wire)
        for _, _, message in said:
            self._to_master(wire, message)
        if wire.master.master is not None:
            master = wire.master.master
            if last is not None:
                self._to_master(wire, last)
            self.perform(wire.master, master.disconnected(wire.peer, self.now_ms))

    def _end(self, wire: Wire) -> None:
        if wire in self.wires:
            self.wires.remove(wire)
        self.in_flight = deque(one for one in self.in_flight if one[0] is not wire)

    def _identity(self, node: Node) -> Identity:
        return Identity(
            node_id=NodeId(node.name), cluster_id=node.cluster_id, address=node.name
        )


def error_of(close: Close) -> Error:
    """The frame that the driver sends for a Close."""
    return Error(close.code, close.message, close.epoch, close.master_addr)
