"""What each replica is sent of the master's log, and when an entry is committed."""

from nexus.model.cluster import MasterStats, NodeId, ReplicaStatus
from nexus.model.position import NO_OFFSET, EpochHistory, Offset
from nexus.protocol.messages import Ping, Plan, Pong, WalAck
from nexus.replication.effects import CommitAdvanced, Effect, Effects, Send
from nexus.replication.handshake.admission import Admission
from nexus.replication.quorum import durable_on
from nexus.replication.settings import Identity, LogExtent, MasterSettings
from nexus.replication.streaming.fleet import Fleet
from nexus.replication.streaming.lease import Lease
from nexus.replication.streaming.progress import Progress
from nexus.replication.streaming.tally import Held, Tally
from nexus.replication.timing.ages import EntryAges


class Streams:
    """The master's log as its replicas get it: extent, commit offset, windows."""

    def __init__(
        self,
        identity: Identity,
        settings: MasterSettings,
        history: EpochHistory,
        log: LogExtent,
        now_ms: int,
    ) -> None:
        self._node_id = identity.node_id
        self._cluster_id = identity.cluster_id
        self._settings = settings
        self._reign = history.reigns[-1]
        self.log = log
        self._written = log.durable_offset
        """What may be sent: where nothing goes ahead of the sync, what is durable."""
        self.commit = log.durable_offset if settings.quorum == 1 else NO_OFFSET
        self.fleet = Fleet(settings.max_replicas)
        first = self._reign.first_offset
        self.tally = Tally(settings.quorum, first, self._held)
        """Who must hold an entry."""
        self.changes = False
        """Whether an operator waits for a change of the voters to be logged."""
        self.lease = Lease(identity.node_id)
        self._ages = EntryAges()
        self._ages.note(log.durable_offset, now_ms)
        self._whole = NO_OFFSET
        """Of a replica's log: durable, but perhaps not committed yet."""
        self._master_end = NO_OFFSET
        """Of the true master, where this log is a replica's."""
        self._ahead_ms: int | None = None

    @property
    def end(self) -> Offset:
        """The last entry that a replica may have of this log."""
        return max(self._written, self.log.durable_offset)

    @property
    def extent(self) -> LogExtent:
        """The log as replicas may have it; of a relay, what it will show in time."""
        return LogExtent(self.log.first_offset, max(self.end, self._whole))

    def elected(
        self, voters: frozenset[NodeId], former: frozenset[NodeId] = frozenset()
    ) -> None:
        """These count, or still the former; nothing is known to be committed."""
        self.tally.elected(voters, former)
        self.commit = NO_OFFSET

    def configured(
        self, voters: frozenset[NodeId], quorum: int, since: Offset, now_ms: int
    ) -> Effects:
        """Who counts from the entry `since` on, and how many must hold an entry."""
        self.tally.configured(voters, quorum, since)
        return self._advanced_and_fed(now_ms)

    def listed(self, nodes: frozenset[NodeId]) -> None:
        """Each of these must hold an entry; nothing is known to be committed yet."""
        self.tally.required = nodes
        self.commit = NO_OFFSET

    def required_from(self, nodes: frozenset[NodeId], now_ms: int) -> Effects:
        """Who must hold an entry from now on."""
        self.tally.required = nodes
        return self._advanced_and_fed(now_ms)

    def stored(self, offset: Offset, now_ms: int) -> Effects:
        """The own log is durable up to `offset`."""
        assert offset >= self.log.durable_offset, "what is durable stays durable"
        self.log = LogExtent(self.log.first_offset, offset)
        self._ages.note(offset, now_ms)
        advanced = self._advanced()
        return (*advanced, *self.fed(now_ms))

    def written(self, offset: Offset, now_ms: int) -> Effects:
        """The own log holds entries up to `offset`, and is being synced."""
        assert offset >= self._written, "a failed append or sync stops the node"
        self._written = offset
        return self.fed(now_ms)

    def relayed(
        self,
        shown: Offset,
        held: Offset,
        master_end: Offset,
        ahead_ms: int | None,
        now_ms: int,
    ) -> Effects:
        """A replica passes its log on up to `shown`, which is committed, of `held`.

        The master's own log reaches `master_end`, its clock is `ahead_ms` of this one.
        """
        self._whole = held
        self.log = LogExtent(self.log.first_offset, max(shown, self.log.durable_offset))
        self.commit = max(shown, self.commit)
        self._master_end, self._ahead_ms = master_end, ahead_ms
        self._ages.note(max(shown, master_end), now_ms)
        return self.fed(now_ms)

    def retained(self, first_offset: Offset) -> None:
        """The log begins at `first_offset` now."""
        self.log = LogExtent(first_offset, self.log.durable_offset)

    def durable_on(self, offset: Offset) -> int:
        """How many nodes, this one included, are known to hold an entry."""
        return durable_on(self._held().values(), offset)

    def nodes_in_reach(self, now_ms: int) -> int:
        """This node, and every replica that streams, was heard of, and has room."""
        heard_ms, overruns = now_ms - self._settings.dead_after_ms, self._overruns
        there = (one for one in self.fleet if self.tally.counts(one.node_id))
        return 1 + sum(one.holds_more(heard_ms, overruns=overruns) for one in there)

    @property
    def _overruns(self) -> bool:
        """Whether a witness at its cap stores entries even so."""
        return self.changes or not self.tally.is_settled

    def joined(self, progress: Progress, admission: Admission, now_ms: int) -> Effects:
        """It was welcomed with this plan: what it is sent now."""
        if admission.plan is Plan.STREAM:
            progress.streams_from(admission.from_offset, self.commit)
            held = progress.ack_of(admission.from_offset)
            return self.acknowledged(progress, held, now_ms)
        if admission.plan is Plan.REWIND:
            progress.rewinds(admission.from_offset)
        else:
            progress.replaces(admission.from_offset)
        return ()

    def refuted(self, progress: Progress, ack: WalAck | Pong) -> str:
        """Why no true replica sends this; empty for what one may send."""
        if not progress.streams:
            to = progress.rewinds_to
            if to is None or isinstance(ack, Pong) or ack.durable_offset == to:
                return ""
            return (
                f"{progress.node_id} acknowledges entry {ack.durable_offset}, it was "
                f"to take back what it has after {to}"
            )
        if ack.durable_offset > progress.sent_limit:
            return (
                f"{progress.node_id} acknowledges entry {ack.durable_offset}, it was "
                f"sent none after {progress.sent_limit}"
            )
        if ack.applied_offset > ack.durable_offset:
            return (
                f"{progress.node_id} says it applied entry {ack.applied_offset} and "
                f"holds {ack.durable_offset}"
            )
        return ""

    def acknowledged(
        self, progress: Progress, ack: WalAck | Pong, now_ms: int
    ) -> Effects:
        """A believable ack: the window moves, and perhaps the commit offset."""
        if progress.rewinds_to is not None and isinstance(ack, WalAck):
            progress.streams_from(progress.rewinds_to, NO_OFFSET)
        if not progress.streams:
            # Its log is not this log: the same offset may name another entry.
            return ()
        if isinstance(ack, WalAck):
            progress.heeds(ack)
        progress.acknowledged(ack.durable_offset, ack.applied_offset, now_ms)
        return self._advanced_and_fed(now_ms) or self.feed(progress, now_ms)

    def _advanced_and_fed(self, now_ms: int) -> Effects:
        advanced = self._advanced()
        return (*advanced, *self.fed(now_ms)) if advanced else ()

    def fed(self, now_ms: int) -> Effects:
        """What all replicas are to be sent now."""
        return tuple(
            effect
            for _, progress in self.fleet.connected()
            for effect in self.feed(progress, now_ms)
        )

    def feed(self, progress: Progress, now_ms: int) -> Effects:
        """What one replica is to be sent now: entries, or the commit offset alone."""
        window = self._settings.window_entries
        stream = progress.next_stream(self.end, self.commit, window)
        if stream is not None:
            return (stream,)
        if progress.awaits_commit(self.commit):
            return self.ping(progress, now_ms)
        return ()

    def ping(self, progress: Progress, now_ms: int) -> Effects:
        """A heartbeat; also how a commit offset travels without an entry."""
        assert progress.peer is not None, "only the connected are pinged"
        progress.pinged_ms = now_ms
        progress.commit_told = self.commit
        stamp = (
            self.lease.pinged(progress.node_id, now_ms) if self.tally.voters else now_ms
        )
        ping = Ping(
            timestamp=stamp,
            current_offset=max(self.log.durable_offset, self._master_end),
            commit_offset=self.commit,
            epoch=self._reign.epoch,
            cluster_id=self._cluster_id,
            history_id=self._reign.history_id,
            held_offset=self.tally.held_by_all,
            clock_us=(
                0 if self._ahead_ms is None else (now_ms + self._ahead_ms) * 1_000
            ),
            overrun=self._overruns,
        )
        return (Send(progress.peer, ping),)

    def tick(self, now_ms: int) -> Effects:
        """Heartbeats that are due."""
        effects: list[Effect] = []
        for _, progress in self.fleet.connected():
            if now_ms - progress.pinged_ms >= self._settings.heartbeat_ms:
                effects += self.ping(progress, now_ms)
        applied = (progress.applied for progress in self.fleet)
        durable = self.log.durable_offset
        self._ages.forget_through(min(applied, default=durable))
        return tuple(effects)

    def replicas(self, now_ms: int) -> tuple[ReplicaStatus, ...]:
        """Every replica known, connected or not."""
        ages, voters = self._ages, self.tally.voters
        dead_after_ms = self._settings.dead_after_ms
        durable = max(self.log.durable_offset, self._master_end)
        return tuple(
            progress.status(ages, durable, now_ms, dead_after_ms, voters)
            for progress in self.fleet
        )

    def stats(self, now_ms: int, *, transfers: int, rejected: int) -> MasterStats:
        """The totals; those that machines do not know are 0."""
        rows = self.replicas(now_ms)
        return MasterStats(
            entries_replicated=sum(replica.entries_sent for replica in self.fleet),
            bytes_sent=sum(row.bytes_sent for row in rows),
            connected_replicas=len(self.fleet.connected()),
            healthy_replicas=sum(row.healthy for row in rows),
            log_size=0,
            current_offset=self.log.durable_offset,
            sync_acks=0,
            sync_timeouts=0,
            snapshot_transfers=transfers,
            rejected_connections=rejected,
        )

    def _held(self) -> Held:
        """What each node, this one included, is known to hold durably."""
        held: Held = {one.node_id: one.acked for one in self.fleet}
        held[self._node_id] = self.log.durable_offset
        return held

    def _advanced(self) -> Effects:
        committed = self.tally.committed(self.log.durable_offset)
        if committed <= self.commit:
            return ()
        self.commit = committed
        return (CommitAdvanced(committed),)
