"""One voting node: its elector, and the master or replica that the votes make of it.

Every decision of the composition is here, pure: the asyncio driver and the simulator
drive the same object. Every method returns the effects to perform, in order, in one
queue for the whole node (see `effects` here, of `elections` and of `replication`). The
names of the methods, and when to call them, are those of the machines.
"""

from collections.abc import Iterable, Sequence

from nexus.errors import WrongRoleError
from nexus.model.cluster import NodeId, ReplicaStatus
from nexus.model.operation import Configuration
from nexus.model.position import NO_OFFSET, EpochHistory, Offset, Position
from nexus.protocol.messages import (
    Error,
    ErrorCode,
    Hello,
    Message,
    TakeOver,
    VoteReply,
    VoteRequest,
    WalEntry,
    Welcome,
)
from nexus.replication.effects import Close, Effects, Peer, without_orders
from nexus.replication.elections.moves import ElectionState
from nexus.replication.elections.votes import FARTHEST
from nexus.replication.handshake.admission import stood_alone, turned_away
from nexus.replication.handshake.announcement import answered
from nexus.replication.master import Master
from nexus.replication.members.composition import Composition
from nexus.replication.members.effects import MemberEffects, ReadRefused
from nexus.replication.members.electorate import ConfigurationEntry
from nexus.replication.settings import WITNESS, LogExtent


class Member(Composition):
    """Decides for one voting node (or learner); knows no socket, file or clock."""

    def tick(self, now_ms: int) -> MemberEffects:
        """Deadlines and heartbeats; a few times per heartbeat is enough."""
        effects: MemberEffects = ()
        if self.master is not None:
            effects = self._from_master(self.master.tick(now_ms), now_ms)
            effects += self._watched(now_ms)
        elif self.replica is not None:
            effects = self._from_replica(self.replica.tick(now_ms), now_ms)
        effects += self._lending.tick(now_ms) + self._relay.tick(now_ms)
        return effects + self._from_elector(self.elector.tick(now_ms), now_ms)

    def _watched(self, now_ms: int) -> MemberEffects:
        """A master that no quorum answers, or whose disk hangs, steps down."""
        reason = "" if self.master is None else self.master.trouble(now_ms)
        ended = self.elector.lost_quorum(now_ms, reason) if reason else ()
        return self._from_elector(ended, now_ms)

    def may_acknowledge(self, now_ms: int) -> bool:
        """Whether a client may be told of a success at this very moment.

        Ask after the sync, and in sync mode after the commit offset has reached the
        entry: never before, and never once for a whole batch that waits again.
        """
        master = self.master
        return master is not None and master.may_acknowledge(now_ms)

    # --- The election ----------------------------------------------------------------

    def vote(
        self, sender: NodeId, message: VoteRequest | VoteReply | TakeOver, now_ms: int
    ) -> MemberEffects:
        """A message of the election, from the node that its handshake proved."""
        return self._from_elector(self.elector.receive(sender, message, now_ms), now_ms)

    def campaign(self, now_ms: int) -> MemberEffects:
        """An operator wants this node to be master; () if it cannot stand now."""
        return self._from_elector(self.elector.campaign(now_ms), now_ms)

    def switchover(self, heir: NodeId, now_ms: int) -> MemberEffects:
        """An operator wants `heir` to reign; WrongRoleError says why it cannot."""
        if self.master is None or self.elector.state is not ElectionState.MASTER:
            raise WrongRoleError("this node is no master, or hands over already")
        objection = self.master.heir_objection(heir)
        if heir in self._witnesses:
            objection = f"{heir} is a witness: it has no database"
        if objection:
            raise WrongRoleError(objection)
        return self._from_elector(self.elector.switchover(heir, now_ms), now_ms)

    def writes_held(self, end: Offset, now_ms: int) -> MemberEffects:
        """As HoldWrites asked: no transaction is under way, the log ends at `end`."""
        if self.master is None:
            return ()
        self.master.writes_held(end)
        return self._from_master((), now_ms)

    # --- The port: other nodes' connections to this one ------------------------------

    def hello(self, peer: Peer, hello: Hello, now_ms: int) -> MemberEffects:
        """A proven Hello on a new connection, whatever this node is just now."""
        if hello.epoch > self.epoch + FARTHEST:
            reason = f"epoch {hello.epoch} is out of this world"
            return (Close(peer, ErrorCode.MALFORMED, reason, self.epoch),)
        if WITNESS in hello.features and hello.node_id in self.voters:
            self._witnesses.add(hello.node_id)
        if self.master is not None:
            welcomed = self.master.hello(peer, hello, now_ms)
            return self._from_master(welcomed, now_ms)
        if self._lends_to(hello):
            return self._lends(peer, hello, now_ms)
        if self.replica is None:
            no = turned_away(hello, self._identity)
            return (Close(peer, no.code, no.message, self.epoch),)
        if self._relay.wanted(hello) and not self._settings.witness:
            return self._relay.hello(
                peer, hello, self.replica, self._first_offset, now_ms
            )
        effects = self.replica.hello(peer, hello)
        ours = hello.cluster_id == self.replica.cluster_id
        elected = hello.node_id in self.voters or not stood_alone(hello)
        met = self.elector.met(hello.epoch, now_ms) if ours and elected else ()
        return (*effects, *self._from_elector(met, now_ms))

    def disconnected(self, peer: Peer, now_ms: int) -> MemberEffects:
        """A connection to this node's port is gone."""
        machine = self.serving(peer)
        if machine is None:
            return ()
        return self._served(machine, machine.disconnected(peer, now_ms), now_ms)

    def receive(self, peer: Peer, message: Message, now_ms: int) -> MemberEffects:
        """A message of a welcomed peer; ignored from one that was closed."""
        machine = self.serving(peer)
        if machine is None:
            return ()
        return self._served(machine, machine.receive(peer, message, now_ms), now_ms)

    def streamed(
        self, peer: Peer, next_offset: Offset, bytes_sent: int, now_ms: int
    ) -> MemberEffects:
        """A Stream is done."""
        machine = self.serving(peer)
        if machine is None:
            return ()
        fed = machine.streamed(peer, next_offset, bytes_sent, now_ms)
        return self._served(machine, fed, now_ms)

    def log_gap(self, peer: Peer, first_offset: Offset, now_ms: int) -> MemberEffects:
        """A Stream failed: the log begins at `first_offset`."""
        machine = self.serving(peer)
        if machine is None:
            return ()
        closed = machine.log_gap(peer, first_offset, now_ms)
        return self._served(machine, closed, now_ms)

    def announced(self, answer: Welcome | Error, now_ms: int) -> MemberEffects:
        """What a node that was told of this reign has answered."""
        if self.master is None or answer.epoch > self.epoch + FARTHEST:
            return ()
        return self._from_master(answered(answer, self.master.history), now_ms)

    def retention_floor(self) -> Offset:
        """The first offset that the log must keep: all after the commit offset.

        Even what the database has: in async mode it may have to be taken back. A
        witness keeps all that another voter may lack.
        """
        if self.master is not None:
            return self.master.retention_floor()
        if self.replica is None:
            return Offset(NO_OFFSET + 1)
        if not self._settings.election.stands:
            return Offset(self.replica.held_by_all + 1)
        return self._relay.retention_floor(Offset(self.replica.commit_offset + 1))

    def retained(self, first_offset: Offset) -> None:
        """Retention has dropped what is before `first_offset`."""
        self._first_offset = first_offset
        self._relay.retained(first_offset)
        if self.master is not None:
            self.master.retained(first_offset)

    def downstreams(self, now_ms: int) -> tuple[ReplicaStatus, ...]:
        """The replicas that follow this one."""
        return self._relay.replicas(now_ms)

    def serving(self, peer: Peer) -> Master | None:
        """The machine that decides about a connection to this node's port."""
        return self.master or self._lending.serves(peer) or self._relay.serves(peer)

    def _served(self, machine: Master, effects: Effects, now_ms: int) -> MemberEffects:
        if machine is self.master:
            return self._from_master(effects, now_ms)
        return without_orders(effects)

    def _lends_to(self, hello: Hello) -> bool:
        replica = self.replica
        return (
            self._lending.wanted(hello)
            and not self._settings.election.stands
            and replica is not None
            and replica.is_settled
            and not replica.is_connected
            and bool(replica.history.reigns)
        )

    def _lends(self, peer: Peer, hello: Hello, now_ms: int) -> MemberEffects:
        assert self.replica is not None, "only a replica lends"
        log = LogExtent(self._first_offset, self.replica.durable_offset)
        return self._lending.lend(peer, hello, self.replica.history, log, now_ms)

    # --- The link: this node's connection to its master ------------------------------

    def connected_to_master(self, now_ms: int) -> MemberEffects:
        """The connection that a Connect asked for stands."""
        if self.replica is None:
            return ()
        self.replica.waiting = self._relay.waiting(now_ms)
        return self._from_replica(self.replica.connected_to_master(now_ms), now_ms)

    def lost_master(self, reason: str, now_ms: int) -> MemberEffects:
        """It broke or could not be had, without a Disconnect."""
        if self.replica is None:
            return ()
        return self._from_replica(self.replica.disconnected(reason), now_ms)

    def from_master(self, message: Message, now_ms: int) -> MemberEffects:
        """A message on it."""
        if self.replica is None:
            return ()
        return self._heard(self.replica.receive(message, now_ms), now_ms)

    def entries_from_master(
        self, entries: Sequence[WalEntry], now_ms: int
    ) -> MemberEffects:
        """Several whole entries (at least one) at once."""
        if self.replica is None:
            return ()
        return self._heard(self.replica.receive_entries(entries, now_ms), now_ms)

    def _heard(self, effects: Effects, now_ms: int) -> MemberEffects:
        """The master's epoch is durable before anything of it is acknowledged."""
        replica = self.replica
        assert replica is not None, "a replica has heard it"
        persisted: MemberEffects = ()
        if replica.is_connected and not replica.borrows:
            heard = self.elector.heard(replica.epoch, now_ms)
            persisted = self._from_elector(heard, now_ms)
        return (*persisted, *self._from_replica(effects, now_ms))

    # --- The disk --------------------------------------------------------------------

    def written(self, offset: Offset, now_ms: int) -> MemberEffects:
        """A master's log holds entries up to `offset`, which are being synced."""
        if self.master is None:
            return ()
        return self._from_master(self.master.written(offset, now_ms), now_ms)

    def stored(self, offset: Offset, now_ms: int) -> MemberEffects:
        """The log is durable up to `offset`."""
        if self.master is not None:
            return self._from_master(self.master.stored(offset, now_ms), now_ms)
        if self.replica is None:
            return ()  # a reign's last entry; `follow` says where the log ends
        stored = self.replica.stored(offset, now_ms)
        self.electorate.settled(self.replica.commit_offset)
        return self._from_replica(stored, now_ms)

    def applied(self, offset: Offset, now_ms: int) -> MemberEffects:
        """The database holds the entries up to `offset`."""
        if self.master is not None:
            began = self.master.applied(offset)
            return (*began, *self._from_master((), now_ms))
        if self.replica is None:
            return ()
        return self._from_replica(self.replica.applied(offset, now_ms), now_ms)

    def apply_failed(self, reason: str, now_ms: int) -> MemberEffects:
        """An entry does not fit the rows here: a master is none for clients then."""
        if self.master is not None:
            lost = self.elector.lost_quorum(now_ms)
            return self._from_elector(lost, now_ms)
        if self.replica is None:
            return ()
        failed = self.replica.apply_failed(reason, now_ms)
        return self._from_replica(failed, now_ms)

    def installed(
        self,
        position: Position,
        history: EpochHistory,
        configurations: Iterable[ConfigurationEntry],
        now_ms: int,
    ) -> MemberEffects:
        """Database and log stand at the snapshot's position, with its voters."""
        assert self.replica is not None, "only a replica installs"
        self._first_offset = Offset(position.offset + 1)
        self.electorate.replaced(configurations)
        self._reconfigured()
        installed = self.replica.installed(position, history, now_ms)
        return self._from_replica(installed, now_ms)

    def install_failed(self, reason: str, now_ms: int) -> MemberEffects:
        """Database and log are as they were."""
        assert self.replica is not None, "only a replica installs"
        failed = self.replica.install_failed(reason, now_ms)
        return self._from_replica(failed, now_ms)

    def rewound(self, now_ms: int) -> MemberEffects:
        """What a Rewind was to take back is gone, its configurations too."""
        assert self.replica is not None, "only a replica goes back"
        rewound = self.replica.rewound(now_ms)
        self.electorate.truncated_after(self.replica.durable_offset)
        self._reconfigured()
        return self._from_replica(rewound, now_ms)

    def rewind_failed(self, reason: str, now_ms: int) -> MemberEffects:
        """Database and log are as they were."""
        assert self.replica is not None, "only a replica goes back"
        failed = self.replica.rewind_failed(reason, now_ms)
        return self._from_replica(failed, now_ms)

    # --- The configuration, and strong reads -----------------------------------------

    def objection(self, configuration: Configuration) -> str:
        """Why this cannot be the configuration now; empty if it can (hard-case 3)."""
        if self.master is None:
            return "this node is no master"
        return self.master.objection(configuration)

    def configured(
        self, offset: Offset, configuration: Configuration | None, now_ms: int
    ) -> MemberEffects:
        """The master is about to append this entry: it is in force from now on.

        None: it has found no place in the log, and what was before it is in force.
        """
        self.electorate.placed(offset, configuration)
        self._reconfigured()
        if self.master is None:
            return ()
        return self._from_master(self.master.configured(now_ms), now_ms)

    def read(self, read_id: str, now_ms: int) -> MemberEffects:
        """A strong read begins here; ReadReady or ReadRefused follows, now or later."""
        if self.master is None:
            return (ReadRefused(read_id, "this node is no master just now"),)
        self.master.read(read_id, now_ms)
        return self._from_master((), now_ms)
