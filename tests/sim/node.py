"""A simulated process: performs what a member asks for, on a disk that takes its time.

The real driver's rules: one queue of effects, performed in order; a disk operation
holds the queue up, except for the apply and the writer, which have threads of theirs.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from nexus.model.cluster import NodeId
from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Configuration, Operation, Reigned
from nexus.model.position import HistoryId, Offset, Reign
from nexus.protocol.messages import (
    Error,
    Hello,
    Message,
    Pong,
    SnapshotChunk,
    SnapshotComplete,
    SnapshotMeta,
    WalAck,
    WalEntry,
)
from nexus.replication.effects import (
    MASTER,
    Adopt,
    Apply,
    Close,
    CommitAdvanced,
    Connect,
    Disconnect,
    Diverged,
    Install,
    Peer,
    ReceiveSnapshot,
    Report,
    Rewind,
    Send,
    SendSnapshot,
    StepDown,
    StopWrites,
    Store,
    StoreChunk,
    Stream,
)
from nexus.replication.elections.effects import (
    BecomeMaster,
    HoldWrites,
    PersistVote,
    SendVote,
    TakeWrites,
    VoteRecord,
    Why,
)
from nexus.replication.members.effects import (
    Announce,
    MemberEffect,
    MemberEffects,
    ReadReady,
    ReadRefused,
)
from nexus.replication.members.member import Member
from nexus.replication.settings import LogExtent, RecoveredState
from sim.checkers import RuleError
from sim.disk import Copy, Disk, continued
from sim.hearing import Hearing
from sim.homecoming import Homecoming
from sim.network import Connection
from sim.surgery import lost_in_install, lost_in_rewind, resolve
from sim.writer import Writer

if TYPE_CHECKING:
    from sim.world import World

ROOM_RETRY_MS: Final = 50
"""How often a replica looks whether its log has room again."""

STREAM_MOST: Final = 6
"""Entries read from the log and sent in one go: one, or up to so many."""


class Process:
    """One life of a node, from its start to its crash."""

    def __init__(self, world: "World", name: str, disk: Disk) -> None:
        self.world = world
        self.name = name
        """Of the machine: it is its address, too."""
        self.node_id = NodeId(name + "~" * world.generation_of(name))
        self.disk = disk
        self.witness = name.startswith("w")
        self.alive = True
        self.paused = False
        self.rested = False
        """Whether it was paused in this life: it may hear of old things late."""
        self.backlog: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.queue: deque[MemberEffect] = deque()
        self.busy = False
        self._pumping = self._storing = False
        self.link: Connection | None = None
        self.wanted = 0
        """The number of the newest Connect."""
        self.doors: dict[Peer, Connection] = {}
        self.goal = Offset(0)
        self.applying = False
        self.reads: dict[str, Callable[[Offset | None], None]] = {}
        self.homecoming = Homecoming(self)
        self.hearing = Hearing(self)
        self.waiting: list[tuple[Offset, Callable[[], None]]] = []
        """Who waits until so much is applied."""
        self.lies_until = 0
        resolve(self)
        world.checkers.starts(name, disk, witness=self.witness)
        self.member: Member = world.member(self.node_id, disk)
        self.writer = Writer(self)

    def start(self) -> None:
        """Find the master."""
        self.take(self.member.start())
        self.world.later(self, self.world.tick_ms, self.tick)

    @property
    def is_promised_a_vote(self) -> bool:
        """Whether it has taken the place of a voter."""
        return self.node_id != self.name and self.name in self.world.plan.voters

    def now(self) -> int:
        """On this node's own clock."""
        return self.world.clock(self.name)

    def tick(self) -> None:
        if self.disk.incomplete and self.member.is_sound:
            self.disk.incomplete = False
        replica = self.member.replica
        was_connected = replica is not None and replica.is_connected
        self.take(self.member.tick(self.now()))
        self.hearing.check(was_connected=was_connected)
        if not (self.queue or self.busy) and self.writer.is_idle:
            known = self.member.configurations[-1]
            self.world.checkers.in_force(self.name, self.disk, known)
        self.homecoming.tick()
        self._measure_log()
        if self.disk.crowded and self.member.master is not None:
            self.take(self.member.lacks_space(self.now()))
        self.world.later(self, self.world.tick_ms, self.tick)

    def _measure_log(self) -> None:
        """A witness's log has a cap: half of it, and only what others lack is kept."""
        hold = self.world.plan.hold
        if not (hold and self.witness):
            return
        if len(self.disk.log) > hold // 2:
            self._shorten()
        self.take(self.member.sized(len(self.disk.log), self.now()))

    # --- Effects ---------------------------------------------------------------------

    def take(self, effects: MemberEffects) -> None:
        """Perform these, behind all that wait already."""
        self.queue.extend(effects)
        if self._storing:
            self._say_meanwhile()
        self.pump()

    def pump(self) -> None:
        """Perform what can be performed now."""
        if self._pumping:
            return
        self._pumping = True
        queue = self.queue
        while queue and not self.busy and self.alive:
            effect = queue.popleft()
            PERFORM[type(effect)](self, effect)
        self._pumping = False
        if self.alive:
            self.writer.look()

    def block(self, done: Callable[[], None]) -> None:
        """The disk is at work; the queue waits for it."""
        self.busy = True
        self.world.later(self, self.world.disk_ms(self.name), self._unblock, done)

    def _unblock(self, done: Callable[[], None]) -> None:
        if self.disk.full:
            self.world.crash(self.name)  # fail-stop: never retried and acknowledged
            return
        self.busy = False
        done()
        self.pump()

    def _nothing(self, _: MemberEffect) -> None:
        pass

    # --- The election ----------------------------------------------------------------

    def _persist(self, effect: PersistVote) -> None:
        record = VoteRecord(effect.epoch, effect.voted_for)
        self.disk.writing = record
        self.world.checkers.persists(self.name, effect.epoch)
        if effect.voted_for == self.node_id and not self.rested:
            deaf_ms = self.world.network.deaf_ms(self.name, self.member.voters)
            self.world.checkers.stands(self.name, deaf_ms)

        def written() -> None:
            self.disk.record, self.disk.writing = record, None

        self.block(written)

    def _adopt(self, effect: Adopt) -> None:
        if self.disk.record.epoch < effect.welcome.epoch:
            raise RuleError(f"{self.name} adopts an epoch that is not durable")

    def _send_vote(self, effect: SendVote) -> None:
        self.world.network.vote(self, effect.to, effect.message)

    def _become_master(self, effect: BecomeMaster) -> None:
        self.goal = self.disk.applied
        disk, epoch = self.disk, effect.epoch
        first = Offset(disk.end + 1)
        name = f"{self.name}{epoch}.{self.world.step}"
        reign = Reign(
            epoch, HistoryId(name), self.node_id, first, self.world.time, effect.why
        )
        self.take(self.member.reign(reign, LogExtent(disk.first, disk.end), self.now()))
        if self.member.master is None:
            return
        transfer = effect.why is Why.SWITCHOVER
        self.world.checkers.reigns(self.name, epoch, disk, transfer=transfer)
        if self.world.strikes:
            self.world.strikes -= 1
            soon = self.world.chance.randrange(12)
            self.world.later(self, soon, self.world.crash, self.name)
        if disk.crowded and self.world.chance.random() < 0.5:
            self.take(self.member.apply_failed("no room", self.now()))
            return
        operations: list[Operation] = [Reigned(reign)]
        if first == 1:
            operations.append(disk.formed[0].configuration)
        self.writer.append_own(operations)

    def _step_down(self, _: StepDown) -> None:
        self.writer.close("this reign has ended")
        self.goal = self.disk.applied
        for answer in self.reads.values():
            answer(None)
        self.reads.clear()
        self.busy = True
        self.writer.when_idle(self._follow)

    def _follow(self) -> None:
        self.busy = False
        self.take(self.member.follow(self.recovered()))
        self.pump()

    def recovered(self) -> RecoveredState:
        """What the disk says."""
        return standing_of(self.disk)

    def _take_writes(self, _: TakeWrites) -> None:
        self.disk.chosen = None
        self.writer.open = True
        self.writer.held = False

    def _hold_writes(self, _: HoldWrites) -> None:
        self.writer.hold()

    def _announce(self, effect: Announce) -> None:
        for address in effect.addresses:
            self.world.network.announce(self, address)

    def _committed(self, effect: CommitAdvanced) -> None:
        disk_of = self.world.disk_of
        voters = {str(one): disk_of(one) for one in self.member.voters}
        epoch = self.member.epoch
        self.world.checkers.commits(self.name, epoch, effect.offset, voters)

    def _read_ready(self, effect: ReadReady) -> None:
        self.world.checkers.reads(self.name, effect.read_id, effect.offset)
        self.reads.pop(effect.read_id)(effect.offset)

    def _read_refused(self, effect: ReadRefused) -> None:
        answer = self.reads.pop(effect.read_id, None)
        if answer is not None:
            answer(None)

    # --- The port --------------------------------------------------------------------

    def _send(self, effect: Send) -> None:
        if effect.peer == MASTER:
            if self.link is not None:
                self.link.to_server(self._said(effect.message))
        elif (door := self.doors.get(effect.peer)) is not None:
            door.to_client(effect.message)

    def _said(self, message: Message) -> Message:
        """What it says to its master: now and then more than is true."""
        if self.world.time >= self.lies_until:
            return message
        # What is believed of a learner still counts once it votes.
        counts = self.world.is_voter(self.node_id) or self.is_promised_a_vote
        more = 1_000 if counts else self.world.chance.randrange(8)
        if isinstance(message, WalAck | Pong):
            said = Offset(message.durable_offset + more)
            return replace(message, durable_offset=said, applied_offset=said)
        if isinstance(message, Hello) and not counts and message.history.reigns:
            offset = Offset(message.position.offset + more)
            return replace(message, position=message.history.position_at(offset))
        return message

    def _close(self, effect: Close) -> None:
        door = self.doors.pop(effect.peer, None)
        if door is not None:
            code, message = effect.code, effect.message
            error = Error(code, message, effect.epoch, effect.master_addr)
            door.to_client(error)
            door.close_server()

    def _stream(self, order: Stream) -> None:
        door = self.doors.get(order.peer)
        if door is None:
            return
        if order.start < self.disk.first:
            first = self.disk.first
            self.take(self.member.log_gap(order.peer, first, self.now()))
            return
        most = self.world.chance.randint(1, STREAM_MOST)
        stop = Offset(min(order.stop, order.start + most))
        history = self.member.history
        entries = []
        for offset in range(order.start, stop):
            record = self.disk.at(offset)
            assert record is not None, "a stream reads what was written"
            history_id = history.position_at(record.offset).history_id
            entries.append(
                WalEntry(
                    record.offset,
                    record.epoch,
                    history_id,
                    order.commit_offset,
                    record.payload,
                )
            )
        door.to_client(tuple(entries))
        self.take(self.member.streamed(order.peer, stop, len(entries), self.now()))

    def _send_snapshot(self, order: SendSnapshot) -> None:
        self.world.later(self, self.world.disk_ms(self.name), self._snapshot, order)

    def _snapshot(self, order: SendSnapshot) -> None:
        door = self.doors.get(order.peer)
        master = self.member.serving(order.peer)
        if door is None or master is None:
            return
        snapshot_id, start = order.snapshot_id, order.next_chunk
        copy = self.world.copies.get(snapshot_id)
        usable = copy is not None and copy.offset + 1 >= self.disk.first
        if copy is None or not usable or copy.offset < order.at_least:
            snapshot_id, copy = self._copied(order.at_least)
            start = 0
        if copy.offset < order.at_least:
            reason = "the database has not caught up"
            self.take(master.snapshot_failed(order.peer, reason, self.now()))
            return
        position = copy.history.position_at(copy.offset)
        self.take(master.snapshot_started(order.peer, position))
        door.to_client(SnapshotMeta(snapshot_id, 2, 2, 0, position))
        for index in range(start, 2):
            door.to_client(SnapshotChunk(snapshot_id, index, b"", 0))
        door.to_client(SnapshotComplete(snapshot_id, success=True))
        self.take(master.snapshot_sent(order.peer))

    def _copied(self, least: Offset) -> tuple[str, Copy]:
        snapshot_id = f"{self.name}-{self.disk.applied}-{self.world.step}"
        kept = self.world.newest_copy(self.name)
        if kept is not None and self.world.chance.random() < 0.5:
            old_id, old = kept
            same = self.member.history.position_at(old.offset)
            reaches = old.offset + 1 >= self.disk.first
            if (
                reaches
                and old.offset >= least
                and same == old.history.position_at(old.offset)
            ):
                return old_id, old
        copy = self.disk.copy()
        self.world.copies[snapshot_id] = copy
        return snapshot_id, copy

    # --- The link --------------------------------------------------------------------

    def _connect(self, effect: Connect) -> None:
        self.wanted += 1
        self._hang_up(None)
        self.world.later(self, effect.delay_ms, self._dial, effect.address, self.wanted)

    def _dial(self, address: str, number: int) -> None:
        if number == self.wanted:
            self.world.network.dial(self, address, number)

    def connected(self, connection: Connection, number: int) -> None:
        """The dial has succeeded."""
        if number != self.wanted or self.member.replica is None:
            connection.close_client()
            return
        self.link = connection
        self.hearing.hears()
        self.take(self.member.connected_to_master(self.now()))

    def lost(self, connection: Connection | None, reason: str, number: int = 0) -> None:
        """The link broke, or the dial failed."""
        if connection is not None and connection is not self.link:
            return
        if connection is None and number != self.wanted:
            return
        self.link = None
        self.take(self.member.lost_master(reason, self.now()))

    def _disconnect(self, effect: Disconnect) -> None:
        self.wanted += 1
        self._hang_up(Error(effect.code, effect.reason) if effect.code else None)

    def _hang_up(self, last: Error | None) -> None:
        link, self.link = self.link, None
        if link is not None:
            if last is not None:
                link.to_server(last)
            link.close_client()

    def from_master(
        self, link: Connection, message: Message | tuple[WalEntry, ...]
    ) -> None:
        """A message on the link."""
        if link is not self.link:
            return
        self.hearing.hears()
        if isinstance(message, tuple):
            effects = self.member.entries_from_master(message, self.now())
        else:
            effects = self.member.from_master(message, self.now())
        self.take(effects)

    def hears_part(self, link: Connection, size_bytes: int) -> None:
        """So many bytes of a message that is on its way to this node."""
        if link is self.link and self.member.replica is not None:
            self.hearing.hears_part(size_bytes)
            self.member.replica.grows(size_bytes, self.now())

    # --- The disk --------------------------------------------------------------------

    def _lacks_space(self, effect: Store) -> None:
        """It is tried again; what the machine says meanwhile needs nothing of it."""
        self._storing = True
        self._waits_for_room(effect)
        self.queue.extend(self.member.lacks_space(self.now()))
        self._say_meanwhile()

    def _waits_for_room(self, effect: MemberEffect) -> None:
        self.busy = True

        def again() -> None:
            self.busy = self._storing = False
            stores = isinstance(effect, Store) and self.disk.crowded
            if stores and self.member.drops_unstored():
                kept = [one for one in self.queue if not isinstance(one, Store)]
                self.queue.clear()
                self.queue.extend(kept)
            else:
                self.queue.appendleft(effect)
            self.pump()

        self.world.later(self, ROOM_RETRY_MS, again)

    def _say_meanwhile(self) -> None:
        for place, effect in enumerate(self.queue):
            if isinstance(effect, Send) and effect.peer == MASTER:
                del self.queue[place]
                self._send(effect)
                return self._say_meanwhile()
            if not isinstance(effect, Store | Apply | Report):
                return None
        return None

    def _store(self, effect: Store) -> None:
        if self.disk.crowded:
            self._lacks_space(effect)
            return
        records = list(effect.records)
        while self.queue and isinstance(self.queue[0], Store):
            records += self.queue.popleft().records  # type: ignore[union-attr]  # as asked in the line above
        history = self.history_of(records)
        self.world.checkers.appended(self.name, self.disk, records, history)
        self.disk.append(records)
        if self.witness:
            self.world.checkers.grows(self.name, self.disk)

        def synced() -> None:
            self.disk.sync()
            self._measure_log()
            self.take(self.member.stored(records[-1].offset, self.now()))

        self.block(synced)

    def history_of(self, records: list[Record]) -> Any:
        """The history of the log with these at its end."""
        return continued(self.disk.history(), records)

    def _apply(self, effect: Apply) -> None:
        self.goal = max(self.goal, effect.up_to)
        if not self.applying:
            self.applying = True
            self.world.later(self, self.world.apply_ms(), self._apply_some)

    def _apply_some(self) -> None:
        self.applying = False
        self.apply_through(self.batch_end)
        if self.goal > self.disk.applied:
            self._apply(Apply(self.goal))

    @property
    def batch_end(self) -> Offset:
        """Where the transaction ends that is applied next, or now."""
        return min(self.goal, Offset(self.disk.applied + 6))

    def apply_through(self, offset: Offset) -> None:
        """Put the log's entries into the database, in one transaction."""
        disk = self.disk
        records = []
        for at in range(disk.applied + 1, offset + 1):
            record = disk.at(at)
            if record is None:
                raise RuleError(f"{self.name} is to apply {at}, its log lacks it")
            records.append(record)
        if not records:
            return
        reigns = self.member.master is not None
        self.world.checkers.applied(self.name, disk, records, reigns=reigns)
        disk.rows.extend(records)
        self.take(self.member.applied(disk.applied, self.now()))
        ready = [call for least, call in self.waiting if least <= disk.applied]
        self.waiting = [one for one in self.waiting if one[0] > disk.applied]
        for call in ready:
            call()

    def when_applied(self, offset: Offset, call: Callable[[], None]) -> None:
        """Call it once the database holds `offset`."""
        if offset <= self.disk.applied:
            call()
        else:
            self.waiting.append((offset, call))

    def _diverged(self, effect: Diverged) -> None:
        disk = self.disk
        lost = [one.payload for one in disk.log if one.offset > effect.after]
        disk.exported.update(lost)

    def _rewind(self, effect: Rewind) -> None:
        if self.disk.crowded:
            self._waits_for_room(effect)
            return
        to = effect.to.offset
        self.goal = Offset(0)
        if self.disk.applied > to and self.world.chance.random() < 0.3:
            reason = "a schema statement cannot be inverted"
            self.block(lambda: self._fail_rewind(reason))
        else:
            self.block(lambda: self._rewound(to))

    def _fail_rewind(self, reason: str) -> None:
        self.goal = self.disk.applied
        self.take(self.member.rewind_failed(reason, self.now()))

    def _rewound(self, to: Offset) -> None:
        disk = self.disk
        if to + 1 < disk.first:
            self._fail_rewind("the log does not reach back")
            return
        if lost_in_rewind(self, to):
            return
        del disk.rows[to:]
        disk.rows_synced = len(disk.rows)
        self.goal = disk.applied
        self.gone(disk.cut(to))
        self.take(self.member.rewound(self.now()))

    def gone(self, gone: list[Record]) -> None:
        """These entries are not in its log any more."""
        others = [one for one in self.world.disks.values() if one is not self.disk]
        self.world.checkers.taken_back(self.name, self.disk, gone, others)

    def _receive_chunk(self, effect: StoreChunk) -> None:
        if self.world.chance.random() < 0.03:
            damage = f"chunk {effect.chunk.chunk_index} is damaged"
            self.take(self.member.install_failed(damage, self.now()))

    def _install(self, effect: Install) -> None:
        if self.disk.crowded:
            self._waits_for_room(effect)
            return
        self.goal = Offset(0)
        self.block(lambda: self._installed(effect))

    def _installed(self, effect: Install) -> None:
        disk, copy = self.disk, self.world.copies[effect.snapshot_id]
        if lost_in_install(self, copy):
            return
        if not self.witness:
            disk.rows = list(copy.rows)
            disk.rows_synced = len(disk.rows)
        self.gone(disk.restart(copy))
        self.goal = disk.applied
        known, position = copy.configurations, effect.position
        self.take(self.member.installed(position, copy.history, known, self.now()))

    def retain(self) -> None:
        """Drop a part of the log that is applied, checkpointed and not needed."""
        disk, member = self.disk, self.member
        if self.witness:
            self._shorten()
            return
        if self.busy or member.elector.reigns is not bool(member.master):
            return
        disk.rows_synced = disk.applied
        floor = min(Offset(disk.applied + 1), member.retention_floor())
        if member.replica is not None and not member.replica.is_settled:
            return
        if floor > disk.first:
            disk.drop_before(floor)
            member.retained(floor)

    def _shorten(self) -> None:
        """A witness drops what every other voter holds."""
        disk, replica = self.disk, self.member.replica
        floor = self.member.retention_floor()
        if self.busy or replica is None or not replica.is_settled:
            return
        if floor > disk.first:
            disk_of = self.world.disk_of
            self.world.checkers.shortens(self.name, disk, floor, disk_of)
            disk.drop_before(floor)
            self.member.retained(floor)

    # --- What is asked of it ---------------------------------------------------------

    def vote(self, sender: str, message: Any) -> None:
        """A message of the election."""
        self.take(self.member.vote(NodeId(sender), message, self.now()))

    def payload(self, operations: list[Operation], transaction_id: str = "") -> bytes:
        """An entry as it stands in the log; each one is unlike all others."""
        schema_hash = b"schema" if transaction_id else b""
        moment = self.world.step * 10_000 + self.world.number()
        return encode_payload(
            Payload(moment, transaction_id, schema_hash, tuple(operations))
        )

    def configure(self, configuration: Configuration) -> str:
        """Change the voters, as an operator; why not, if not."""
        objection = self.member.objection(configuration)
        if objection or not self.writer.is_idle or self.writer.short:
            return objection
        if self.disk.crowded and self.world.chance.random() < 0.5:
            offset, now_ms = Offset(self.disk.end + 1), self.now()
            for named in (configuration, None):
                self.take(self.member.configured(offset, named, now_ms))
            return "the log has no room for it"
        self.writer.append_own([configuration])
        return ""


def standing_of(disk: Disk) -> RecoveredState:
    """What a replica's machine is told when it is made."""
    return RecoveredState(
        history=disk.history(),
        durable_offset=disk.durable,
        applied_offset=disk.applied,
        epoch=disk.record.epoch,
        incomplete=disk.incomplete and not disk.refilled,
        paused=disk.chosen is not None,
        written=tuple((one.offset, 0) for one in disk.log[disk.applied :]),
    )


PERFORM: Final[dict[type, Callable[[Process, Any], None]]] = {
    PersistVote: Process._persist,
    Adopt: Process._adopt,
    SendVote: Process._send_vote,
    BecomeMaster: Process._become_master,
    StepDown: Process._step_down,
    TakeWrites: Process._take_writes,
    HoldWrites: Process._hold_writes,
    Announce: Process._announce,
    CommitAdvanced: Process._committed,
    ReadReady: Process._read_ready,
    ReadRefused: Process._read_refused,
    Send: Process._send,
    Close: Process._close,
    Stream: Process._stream,
    SendSnapshot: Process._send_snapshot,
    Connect: Process._connect,
    Disconnect: Process._disconnect,
    Store: Process._store,
    Apply: Process._apply,
    Diverged: Process._diverged,
    Rewind: Process._rewind,
    ReceiveSnapshot: Process._nothing,
    StoreChunk: Process._receive_chunk,
    Install: Process._install,
    StopWrites: Process._nothing,
    Report: Process._nothing,
}
