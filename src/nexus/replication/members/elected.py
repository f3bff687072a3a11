"""A reign that voters gave: who counts, what its lease allows, when clients write."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from msgspec.structs import replace
from typing_extensions import override

from nexus.model.cluster import Mode, NodeId
from nexus.model.operation import Configuration
from nexus.model.position import NO_OFFSET, EpochHistory, Offset
from nexus.protocol.messages import Message, Pong
from nexus.replication.effects import Apply, Effects, Peer, StepDown
from nexus.replication.elections.effects import TakeWrites
from nexus.replication.elections.elector import NO_QUORUM
from nexus.replication.master import Master
from nexus.replication.members.effects import (
    MemberEffect,
    MemberEffects,
    MemberSettings,
)
from nexus.replication.members.electorate import Electorate
from nexus.replication.members.reads import StrongReads
from nexus.replication.quorum import in_turn, majority
from nexus.replication.settings import Identity, LogExtent

HANG_DEAD_TIMES: Final = 4
LEAST_HANG_MS: Final = 10_000
"""A disk that is only slow answers within so many dead-times, and this, at least."""


class Phase(StrEnum):
    """How far a reign has come; each leads only to the next."""

    BEGINS = "begins"
    """Its first entry is not held by the mode's quorum yet."""
    APPLIES = "applies"
    """The database is brought up to that entry."""
    OPEN = "open"
    """Clients may write."""


class ElectedMaster(Master):
    """A master by vote; its first entry makes it one for clients (hard-case 13)."""

    def __init__(
        self,
        identity: Identity,
        settings: MemberSettings,
        history: EpochHistory,
        log: LogExtent,
        electorate: Electorate,
        now_ms: int,
    ) -> None:
        """`history` ends with this reign, whose first entry is not durable yet."""
        self._own = settings
        self._electorate = electorate
        self._waits = self._is_sync
        self._waits_from = NO_OFFSET
        """Up to here clients were told of what this node alone may hold."""
        bounds = replace(settings.master, quorum=self._sync_quorum)
        super().__init__(identity, bounds, history, log, now_ms)
        self._began_ms = now_ms
        self._node_id = identity.node_id
        self._first = history.reigns[-1].first_offset
        self._phase = Phase.BEGINS
        self._reads = StrongReads(settings.election.dead_after_ms)
        self._heir = NodeId("")
        self._held_end: Offset | None = None
        self._written, self._synced_ms = NO_OFFSET, now_ms
        """The last entry that is being synced; since when the disk owes an answer."""
        self._full_ms = self._full_since_ms = 0
        """When the disk was last said to be full, and since when it is."""
        self._streams.elected(frozenset(electorate.voters), electorate.ever_voted)

    @property
    def takes_writes(self) -> bool:
        """Whether clients' statements may run, once the reign has really begun."""
        return self._phase is Phase.OPEN

    @property
    def durable_offset(self) -> Offset:
        """The end of the own log, as far as it is synced."""
        return self._streams.log.durable_offset

    @property
    @override
    def quorum(self) -> int:
        """How many nodes must hold an entry; 0: a majority of the voters."""
        return self._sync_quorum

    @property
    def _is_sync(self) -> bool:
        """The mode is the log's, in force from its entry's append."""
        named = Mode.named(self._electorate.mode, self._own.mode)
        return named is Mode.SYNC

    @property
    def _sync_quorum(self) -> int:
        """The quorum is the log's too, in force from its entry's append."""
        return self._asked(self._electorate.sync_quorum) if self._is_sync else 0

    def _asked(self, logged: int | None) -> int:
        return self._own.sync_quorum if logged is None else logged

    @property
    def _voters(self) -> frozenset[NodeId]:
        return self._streams.tally.voters

    # --- Quorum and lease ------------------------------------------------------------

    def may_acknowledge(self, now_ms: int) -> bool:
        """Whether a client may be told of a success at this moment.

        Ask after the sync, and after the commit in sync mode: a process that was
        paused in between must not speak for a reign that has ended meanwhile.
        """
        if self.deposed is not None or not self.takes_writes:
            return False
        heard_ms = self._streams.lease.heard_ms(self._voters, now_ms)
        return heard_ms is not None and now_ms - heard_ms < self._own.lease_ms

    def has_lost_quorum(self, now_ms: int) -> bool:
        """Whether no quorum of voters has answered for a dead-time."""
        heard_ms = self._streams.lease.heard_ms(self._voters, now_ms)
        since_ms = self._began_ms if heard_ms is None else heard_ms
        since_ms = max(since_ms, self._began_ms)
        return now_ms - since_ms > self._own.election.dead_after_ms

    def trouble(self, now_ms: int) -> str:
        """Why this node cannot reign on; empty if it can."""
        if self.has_lost_quorum(now_ms):
            return NO_QUORUM
        return "its disk hangs: a sync does not return" if self._hangs(now_ms) else ""

    def _hangs(self, now_ms: int) -> bool:
        """Whether the own disk stands still, and a majority holds what it does not.

        Its heartbeats go on: without this nobody would ever take over.
        """
        if self.durable_offset >= self._written:
            return False
        others = self._voters - {self._node_id}
        held = sum(self._fleet.follows(one, self._written) for one in others)
        patience_ms = max(
            HANG_DEAD_TIMES * self._own.election.dead_after_ms, LEAST_HANG_MS
        )
        is_held = held >= majority(len(self._voters))
        return is_held and now_ms - self._synced_ms > patience_ms

    def configured(self, now_ms: int) -> Effects:
        """The electorate or the mode has changed: it counts from now on."""
        if self._is_sync and not self._waits:
            self._waits_from = self._electorate.offset
        self._waits = self._is_sync
        voters = frozenset(self._electorate.voters)
        since = self._electorate.offset
        return self._streams.configured(voters, self._sync_quorum, since, now_ms)

    def changes(self, *, changes: bool, now_ms: int) -> Effects:
        """An operator waits for the voters' change to be logged, or does no more.

        A witness at its cap stores what comes before it, for that may be in its way.
        """
        self._streams.changes = changes
        told = (
            self._streams.ping(progress, now_ms)
            for _, progress in self._fleet.connected()
        )
        return tuple(effect for effects in told for effect in effects)

    def objection(self, configuration: Configuration) -> str:
        """Why the voters cannot become these now; empty if they can (hard-case 3)."""
        voters = {NodeId(node_id) for node_id, _ in configuration.voters}
        held = self._streams.tally.held_by_majority
        in_sync = Mode.named(configuration.mode, self._own.mode) is Mode.SYNC
        least = self._asked(configuration.sync_quorum) if in_sync else 0
        if not held or not self.takes_writes:
            return "this reign's first entry is not committed yet; try again soon"
        if held < self._electorate.offset:
            return "the last change of the configuration is not committed yet"
        if len(voters) < least:
            return f"a quorum of {least} asks for as many voters"
        if self._node_id not in voters:
            return "the master cannot be removed: switch over to another node first"
        if len(voters ^ self._voters) > 1:
            return "only one voter can be added or removed at a time"
        return ""

    # --- What comes ------------------------------------------------------------------

    def written(self, offset: Offset, now_ms: int) -> Effects:
        """The log holds entries up to `offset`, and is being synced.

        In sync mode they go ahead, so that the replicas' syncs run beside this node's.
        It counts itself only once `stored` says so, and a failed sync must stop it: it
        never takes back what others may hold (hard-case 1).
        """
        if self.deposed is not None or not self._is_sync:
            return ()
        if self.durable_offset >= self._written:
            self._synced_ms = now_ms
        self._written = offset
        return self._streams.written(offset, now_ms)

    @override
    def stored(self, offset: Offset, now_ms: int) -> Effects:
        """As every master; and its disk does work."""
        self._synced_ms = now_ms
        return super().stored(offset, now_ms)

    @override
    def receive(self, peer: Peer, message: Message, now_ms: int) -> Effects:
        """As every master; a Pong also proves that its voter follows this reign."""
        progress = self._fleet.at(peer)
        if progress is not None and isinstance(message, Pong):
            self._streams.lease.answered(progress.node_id, message.timestamp)
        return super().receive(peer, message, now_ms)

    def deposed_by(self, order: StepDown, now_ms: int) -> Effects:
        """The election has ended this reign: everybody leaves."""
        if self.deposed is not None:
            return ()
        return tuple(
            effect
            for effect in self._stepped_down(order, now_ms)
            if not isinstance(effect, StepDown)
        )

    def refused_reads(self, reason: str) -> MemberEffects:
        """No strong read can be answered any more."""
        return self._reads.ended(reason)

    # --- Switchover ------------------------------------------------------------------

    def heir_objection(self, heir: NodeId) -> str:
        """Why this node cannot be handed over to now; empty if it can."""
        if heir not in self._voters or heir == self._node_id:
            others = ", ".join(sorted(self._voters - {self._node_id})) or "none"
            return f"{heir or 'nobody'} is no other voter; the voters are {others}"
        if not self.takes_writes:
            return "this reign has not begun for clients yet; try again soon"
        return self._objection_to(heir)

    def _objection_to(self, heir: NodeId) -> str:
        if not self._fleet.follows(heir):
            return f"{heir} does not follow this master just now"
        if self._fleet.is_delayed(heir):
            return f"{heir} is a delayed replica, which never reigns"
        return ""

    def heir_with_room(
        self, witnesses: Collection[NodeId], now_ms: int
    ) -> NodeId | None:
        """Who can reign where the disk here has been full for a dead-time; or nobody.

        To be asked a few times per heartbeat as long as it is full.
        """
        dead_after_ms = self._own.election.dead_after_ms
        if now_ms - self._full_ms > dead_after_ms:  # it was not, in between
            self._full_since_ms = now_ms
        self._full_ms = now_ms
        if now_ms - self._full_since_ms < dead_after_ms:
            return None
        self._full_since_ms = now_ms  # whatever comes of it: not again at once
        roomy = self._voters - self._fleet.short_of_space() - frozenset(witnesses)
        heirs = in_turn(roomy, self._node_id)
        fit = (one for one in heirs if not self._objection_to(one))
        return next(fit, None)

    def hands_over(self, heir: NodeId) -> None:
        """A switchover begins; it is not known yet when the writes have ended."""
        self._heir, self._held_end = heir, None
        if not self.takes_writes:  # there are none
            self._held_end = self.durable_offset

    def writes_held(self, end: Offset) -> None:
        """No transaction is under way: the log ends at `end` as long as it waits."""
        self._held_end = end

    def heir_is_ready(self) -> bool:
        """Whether everything is committed, and the heir holds it; said only once."""
        end = self._held_end
        if end is None or self.commit_offset < end:
            return False
        if not self._fleet.follows(self._heir, end):
            return False
        self._held_end = None
        return True

    # --- Strong reads ----------------------------------------------------------------

    def read(self, read_id: str, now_ms: int) -> None:
        """A strong read begins; `progressed` answers it."""
        self._reads.ask(read_id, self._streams.lease.last_stamp, now_ms)

    # --- What follows ----------------------------------------------------------------

    def applied(self, offset: Offset) -> MemberEffects:
        """The database holds the entries up to `offset`."""
        if self._phase is not Phase.APPLIES or offset < self._first:
            return ()
        self._phase = Phase.OPEN
        return (TakeWrites("the reign's first entry is committed and applied"),)

    def progressed(self, now_ms: int) -> MemberEffects:
        """What the events so far lead to; call it after each of them."""
        late = self._reads.late(now_ms) if self._reads.any_waits else ()
        begun = self.commit_offset if self._waits else self.durable_offset
        if self._phase is Phase.BEGINS and begun >= self._first:
            self._phase = Phase.APPLIES
            return (Apply(self._first), *late)
        if self._phase is not Phase.OPEN or not self._reads.any_waits:
            return late
        return (*late, *self._answered_reads(now_ms))

    @property
    def _secured(self) -> Offset:
        """The last entry that a client may have been told of."""
        waits = self._waits and self.commit_offset >= self._waits_from
        return self.commit_offset if waits else self.durable_offset

    def _answered_reads(self, now_ms: int) -> MemberEffects:
        lease, voters = self._streams.lease, self._voters
        effects: list[MemberEffect] = []
        if self._reads.wants_round(lease.confirmed(voters)):
            self._reads.begin_round(lease.next_round())
            for _, progress in self._fleet.connected():
                if progress.node_id in voters:
                    effects += self._streams.ping(progress, now_ms)
        effects += self._reads.ready(lease.confirmed(voters), self._secured)
        return tuple(effects)
