"""A node of a cluster whose voters elect: it carries out what its member decides.

It follows or it reigns, and what the member asks for is performed in one order: by
the follower's queue, and at once where nothing waits there and nothing blocks.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec.structs import replace

from nexus.model.cluster import LinkState, NodeId, Role
from nexus.model.operation import Configuration
from nexus.model.position import NO_OFFSET, EpochHistory, Offset
from nexus.node.chronicle import Chronicle, read_chronicle
from nexus.node.clock import now_ms
from nexus.node.elections.ballots import Ballots
from nexus.node.elections.forming import places_of
from nexus.node.elections.pendingreads import PendingReads
from nexus.node.elections.votelinks import (
    VoteHooks,
    VoteLinks,
    VoteMessage,
    vote_welcome,
)
from nexus.node.parts import Parts
from nexus.node.report import DutyReport
from nexus.node.roles.accession import (
    begin_reign,
    end_reign,
    hold_writes,
    keep_vote,
    take_writes,
)
from nexus.node.roles.following import Following
from nexus.node.roles.machines import member_of
from nexus.node.roles.reigning import Reigning
from nexus.node.streaming.adapters import MasterAdapter, ReplicaAdapter
from nexus.node.tasks import Tasks
from nexus.protocol.messages import Error, Hello, Welcome
from nexus.replication.effects import (
    MASTER,
    Close,
    CommitAdvanced,
    Report,
    Send,
    SendSnapshot,
    StepDown,
    StopWrites,
    Stream,
)
from nexus.replication.elections.effects import (
    BecomeMaster,
    HoldWrites,
    PersistVote,
    SendVote,
    TakeWrites,
)
from nexus.replication.elections.moves import CAMPAIGNS, ElectionState
from nexus.replication.handshake.introduction import hello_of
from nexus.replication.members.effects import (
    Announce,
    MemberEffect,
    MemberEffects,
    ReadReady,
    ReadRefused,
)
from nexus.replication.members.member import Member


class Voting:
    """One time of being a voter, or a learner among voters; `begin` and `leave` it."""

    def __init__(self, parts: Parts, member: Member, stale: Callable[[], None]) -> None:
        """`stale` is called once this node has joined a cluster: it begins anew."""
        self.member = member
        self.reigning: Reigning | None = None
        self.parts = parts
        self.port = MasterAdapter(member, self.take)
        assert member.replica is not None, "a node starts as a replica"
        self.following = Following(
            parts,
            member.replica,
            port=self.port,
            adapter=ReplicaAdapter(member, self._notice, self._chronicle),
            others=self._perform,
        )
        replication = parts.config.replication
        self.links = VoteLinks(
            VoteHooks(self._hello, self._welcome, self._heard),
            security=parts.port.security,
            heartbeat_ms=replication.heartbeat_ms,
            missed=replication.missed_heartbeats,
        )
        self.configuring = asyncio.Lock()
        self._withdrawn = False
        self._ballots = Ballots(parts.measures, parts.state.node_id)
        self._cluster_id = parts.state.cluster_id
        self._stale = stale
        self._reads = PendingReads()
        self._tasks = Tasks()

    @classmethod
    async def begin(cls, parts: Parts, stale: Callable[[], None]) -> "Voting":
        """Take part; nothing is applied until a master says what is committed."""
        member = await asyncio.to_thread(member_of, parts)
        voting = cls(parts, member, stale)
        broken_off = await asyncio.to_thread(parts.receiver.pending)
        if broken_off is not None:
            voting.following.machine.resume_snapshot(*broken_off)
        parts.publisher.reign(voting.port)
        voting._reach()
        voting._measure_log()
        voting.following.start()
        return voting

    async def leave(self) -> None:
        """End all of it; what was acknowledged is durable."""
        await self.links.close()
        self._tasks.cancel()
        if self.reigning is not None:
            await self.reigning.leave()
        await self.following.leave()
        self._reads.cancel()

    async def withdraw(self, reason: str) -> None:
        """This node has failed: be silent, so that the others elect another master."""
        self._withdrawn = True
        if self.reigning is not None:
            self.reigning.deposed_by(StepDown(self.member.epoch, "", reason))
        await self.links.close()
        await self.parts.publisher.retire(reason)

    @property
    def role(self) -> Role:
        """What this node is just now."""
        if self.reigning is not None:
            return Role.MASTER
        return Role.WITNESS if self.parts.is_witness else Role.REPLICA

    @property
    def history(self) -> EpochHistory:
        """Every reign of this node's log."""
        return self.member.history

    @property
    def takes_writes(self) -> bool:
        """Whether this node reigns, and clients may write."""
        open_here = self.reigning is not None and self.reigning.is_open
        # A reign that the election has ended is given up a moment later.
        return open_here and self.member.elector.reigns

    @property
    def patience(self) -> tuple[int, float]:
        """The dead-time in milliseconds, and how long to sleep between two looks."""
        settings = self.parts.config.replication
        dead_after_ms = settings.heartbeat_ms * settings.missed_heartbeats
        return dead_after_ms, settings.heartbeat_ms / 4000

    @property
    def is_handing_over(self) -> bool:
        """Whether a switchover is under way."""
        return self.member.elector.state is ElectionState.HANDING_OVER

    @property
    def configuration(self) -> tuple[Offset, Configuration]:
        """What is in force, with its entry's offset."""
        known = self.member.configurations
        if not known:
            return NO_OFFSET, Configuration(self.parts.state.cluster_id, ())
        return known[-1].offset, known[-1].configuration

    @property
    def voters(self) -> tuple[tuple[str, str], ...]:
        """Who votes, with their addresses."""
        return self.configuration[1].voters

    def report(self) -> DutyReport:
        """How this role fares."""
        report = (self.reigning or self.following).report()
        in_force = self.configuration[1].auto_failover
        configured = self.parts.config.replication.auto_failover
        allowed, mode = in_force and configured, self.member.mode
        report = replace(report, auto_failover=allowed, mode=mode)
        if self.parts.is_witness and report.state is LinkState.PAUSED:
            # It applies nothing, ever: that is no pause, and no lag.
            parts = self.parts
            applied = parts.database.position.offset
            lag = max(0, report.lag - (parts.log.durable_offset - applied))
            seconds = report.lag_seconds if lag else 0.0
            report = replace(report, lag=lag, lag_seconds=seconds)
            report = replace(report, state=LinkState.STREAMING, paused=False)
            return replace(report, last_error=self._complaint or report.last_error)
        if self.member.elector.state in CAMPAIGNS:
            return replace(report, state=LinkState.ELECTING)
        return report

    @property
    def is_full(self) -> bool:
        """Whether this is a witness whose log has reached its cap."""
        return bool(self._complaint)

    @property
    def lacks_space(self) -> bool:
        """Whether this node reigns, and its disk is too full for any write."""
        if self.reigning is None:
            return False
        return self.reigning.lacks_space or self.following.follower.lacks_space

    @property
    def _complaint(self) -> str:
        replica = self.member.replica
        return replica.room.complaint if replica else ""

    def tick(self) -> None:
        """Heartbeats, deadlines, elections."""
        if self._withdrawn:
            return
        self.take(self.member.tick(now_ms()))
        self._measure_log()
        self._reach()
        if self._cluster_id != self.parts.state.cluster_id:
            self._cluster_id = self.parts.state.cluster_id
            self._stale()
        if self.reigning is not None:
            self.reigning.watch_quorum()
            # A named database's reign goes where the main one's does.
            if self.lacks_space and not self.parts.is_led:
                self.take(self.member.lacks_space(now_ms()))

    def _measure_log(self) -> None:
        """A witness's log has a cap."""
        if self.parts.is_witness:
            self.take(self.member.sized(self.parts.log.size_bytes, now_ms()))

    async def retain(self) -> None:
        """Drop what retention no longer keeps."""
        if self.reigning is None and not self._withdrawn:
            await self.following.retain()
        elif self.takes_writes and self.reigning is not None:
            await self.reigning.retain()

    def take(self, effects: MemberEffects) -> None:
        """Perform these in their order, now or after what waits."""
        if self._withdrawn:
            return
        self._notice(effects)
        first = 0
        if self.following.is_idle:
            for effect in effects:
                if not self._performed_at_once(effect):
                    break
                first += 1
        self.following.take(effects[first:])

    # --- Effects ---------------------------------------------------------------------

    def _notice(self, effects: MemberEffects) -> None:
        """Nothing is acknowledged from the moment at which a reign has ended."""
        self._ballots.notice(effects)
        for effect in effects:
            if isinstance(effect, StepDown) and self.reigning is not None:
                self.reigning.deposed_by(effect)

    def _performed_at_once(self, effect: MemberEffect) -> bool:
        """Perform what neither blocks nor waits; False if it must wait for its turn."""
        match effect:
            case Send(peer=peer) if peer != MASTER:
                self.parts.publisher.perform((effect,))
            case Close() | Stream() | SendSnapshot() | StopWrites() | Report():
                self.parts.publisher.perform((effect,))
            case CommitAdvanced():
                if self.reigning is not None:
                    self.reigning.committed(effect.offset)
            case SendVote():
                self.links.send(effect.to, effect.message)
            case ReadReady() | ReadRefused():
                self._reads.answer(effect)
            case Announce():
                self._announce(effect)
            case _:
                return False
        return True

    async def _perform(self, effect: MemberEffect) -> None:
        """Perform what the follower does not, in its turn."""
        if self._performed_at_once(effect):
            return
        match effect:
            case PersistVote():
                await keep_vote(self.parts, effect)
            case BecomeMaster():
                await begin_reign(self, effect)
            case TakeWrites():
                await take_writes(self, effect)
            case HoldWrites():
                hold_writes(self, effect)
            case StepDown():
                await end_reign(self, effect)
            case _:
                raise AssertionError(f"{effect} is nobody's to perform")

    def _chronicle(self) -> Chronicle:
        """After a snapshot was installed; runs between two batches."""
        return read_chronicle(self.parts.storage)

    # --- Votes -----------------------------------------------------------------------

    def _heard(self, sender: NodeId, message: VoteMessage) -> None:
        self.take(self.member.vote(sender, message, now_ms()))

    def _reach(self) -> None:
        self.links.reach(places_of(self.parts, self.voters))

    def _hello(self) -> Hello:
        parts = self.parts
        end = parts.log.durable_offset
        identity = parts.identity()
        return hello_of(identity, self.history, end, epoch=self.member.epoch)

    def _welcome(self) -> Welcome:
        return vote_welcome(self.parts, self.history)

    # --- Operators and reads ---------------------------------------------------------

    async def read_offset(self) -> Offset:
        """What a strong read that begins now must see; raises NoMasterError."""
        return await self._reads.wait(
            lambda read_id: self.take(self.member.read(read_id, now_ms()))
        )

    def _announce(self, order: Announce) -> None:
        reigning = self.reigning
        if reigning is None:
            return
        for address in order.addresses:
            self.spawn(reigning.announce(address, self._announced))

    def _announced(self, answer: Welcome | Error) -> None:
        self.take(self.member.announced(answer, now_ms()))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this beside all else, until it ends or this node leaves."""
        self._tasks.spawn(work)
