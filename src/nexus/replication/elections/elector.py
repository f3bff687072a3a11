"""The election: suspicion, votes, mastership, step-down and switchover.

One object for a node's life. It knows epochs and votes; entries and acknowledgements
are the matter of `master` and `replica`. Every method returns the effects to perform,
in order (see `effects`). Every legal move is in `moves`.
"""

from collections.abc import Callable
from typing import Final, assert_never

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch
from nexus.protocol.messages import TakeOver, VoteReply, VoteRequest
from nexus.replication.effects import Level, Report, StepDown
from nexus.replication.elections.ballot import Ballot, Verdict
from nexus.replication.elections.effects import (
    BecomeMaster,
    ElectionEffects,
    ElectionSettings,
    Fetch,
    HoldWrites,
    LogView,
    PersistVote,
    SendVote,
    TakeWrites,
    VoteRecord,
    Why,
)
from nexus.replication.elections.moves import (
    CAMPAIGNS,
    MOVES,
    REIGNS,
    ElectionState,
)
from nexus.replication.elections.renewal import Renewal
from nexus.replication.elections.votes import refusal

NO_QUORUM: Final = "no quorum of voters has answered for a dead-time"


class Elector:
    """Decides who reigns, for one node; knows no socket, file or clock."""

    def __init__(
        self,
        settings: ElectionSettings,
        record: VoteRecord,
        log: Callable[[], LogView],
        random: Callable[[], float],
        now_ms: int,
        *,
        had_master: bool = True,
    ) -> None:
        """A follower that grants nothing for one dead-time if it may have `had_master`.

        `log` tells where the own log stands; `random` gives fractions of [0, 1).
        """
        self._settings = settings
        self._record = record
        self._log = log
        self._random = random
        self._heard_ms = now_ms if had_master else now_ms - settings.dead_after_ms
        self._deadline_ms = 0
        self._ballot = Ballot(settings.node_id)
        self._why = Why.FAILOVER
        self._heir = NodeId("")
        self._renewal = Renewal()
        self.auto_failover = True
        """False in maintenance: only operators begin elections."""
        self.state = ElectionState.FOLLOWER
        self._waits(self._heard_ms, settings.dead_after_ms)

    @property
    def epoch(self) -> Epoch:
        """The highest epoch met."""
        return self._record.epoch

    @property
    def record(self) -> VoteRecord:
        """What the catalog must hold by now."""
        return self._record

    @property
    def reigns(self) -> bool:
        """Whether the epoch is this node's."""
        return self.state in REIGNS

    # --- What is heard ---------------------------------------------------------------

    def heard(self, epoch: Epoch, now_ms: int) -> ElectionEffects:
        """The master of `epoch` gives a sign of life; an older one is not listened to.

        Call it for whatever an accepted master sends, and once it is accepted.
        """
        if epoch < self.epoch or (self.reigns and epoch == self.epoch):
            return ()
        effects = self.met(epoch, now_ms)
        if self.state is not ElectionState.FOLLOWER:
            self._move(ElectionState.FOLLOWER)
        self._heard_ms = now_ms
        self._waits(now_ms, self._settings.dead_after_ms)
        return effects

    def met(self, epoch: Epoch, now_ms: int) -> ElectionEffects:
        """Somebody knows of `epoch`: whatever this node is in a lower one ends."""
        if epoch <= self.epoch:
            return ()
        farewell = self._becomes_follower(f"epoch {epoch} was met", epoch, now_ms)
        return (*farewell, self._persisted(epoch, NodeId("")))

    def overtaken(self, epoch: Epoch, now_ms: int) -> ElectionEffects:
        """A node that nobody elected stood alone up to `epoch`: reign on above it."""
        effects = self.met(epoch, now_ms)
        if any(isinstance(effect, StepDown) for effect in effects):
            self._why, self._deadline_ms = Why.RENEWAL, now_ms
            self._renewal.begins(epoch, now_ms + self._settings.dead_after_ms)
        return effects

    def receive(
        self, sender: NodeId, message: VoteRequest | VoteReply | TakeOver, now_ms: int
    ) -> ElectionEffects:
        """A message of the election; `sender` is the node that the handshake proved."""
        match message:
            case VoteRequest():
                return self._asked(sender, message, now_ms)
            case VoteReply():
                return self._answered(sender, message, now_ms)
            case TakeOver():
                return self._told_to_take_over(message, now_ms)
            case _:
                assert_never(message)

    # --- What happens here -----------------------------------------------------------

    def tick(self, now_ms: int) -> ElectionEffects:
        """Deadlines; a few times per heartbeat is enough."""
        if now_ms < self._deadline_ms:
            return ()
        match self.state:
            case ElectionState.FOLLOWER:
                return self._suspects(now_ms)
            case ElectionState.PRE_CANDIDATE | ElectionState.CANDIDATE:
                return self._loses(now_ms)
            case ElectionState.FETCHING:
                return self._becomes_follower("the fetch took long", self.epoch, now_ms)
            case ElectionState.HANDING_OVER:
                self._move(ElectionState.MASTER)
                return (TakeWrites(f"{self._heir} has not taken over in time"),)
            case ElectionState.MASTER:
                return ()
            case _:
                assert_never(self.state)

    def campaign(self, now_ms: int) -> ElectionEffects:
        """An operator wants this node to be master; nothing if it cannot stand now."""
        stands = self.state is ElectionState.FOLLOWER and self._may_stand()
        return self._asks_beforehand(Why.PROMOTE, now_ms) if stands else ()

    def lost_quorum(self, now_ms: int, reason: str = NO_QUORUM) -> ElectionEffects:
        """The lease has run out, or the reign could not begin, or go on."""
        if not self.reigns:
            return ()
        return self._becomes_follower(reason, self.epoch, now_ms)

    def fetched(self, now_ms: int) -> ElectionEffects:
        """A Fetch has ended: stand again; another one follows if it was not enough."""
        if self.state is not ElectionState.FETCHING:
            return ()
        return self._asks_beforehand(self._why, now_ms)

    def switchover(self, heir: NodeId, now_ms: int) -> ElectionEffects:
        """An operator wants `heir` to reign; nothing where this node does not.

        The driver has checked that the heir is a connected voter with a database.
        """
        if self.state is not ElectionState.MASTER:
            return ()
        self._heir = heir
        self._move(ElectionState.HANDING_OVER)
        self._deadline_ms = now_ms + self._settings.dead_after_ms
        return (HoldWrites(heir),)

    def heir_ready(self, now_ms: int) -> ElectionEffects:
        """The heir holds everything: it has one dead-time to be elected."""
        if self.state is not ElectionState.HANDING_OVER:
            return ()
        self._deadline_ms = now_ms + self._settings.dead_after_ms
        return (SendVote(self._heir, TakeOver(self.epoch)),)

    # --- As a voter ------------------------------------------------------------------

    def _asked(
        self, sender: NodeId, request: VoteRequest, now_ms: int
    ) -> ElectionEffects:
        log = self._log()
        no = refusal(
            request, self._settings, self._record, log, sticks=self._sticks(now_ms)
        )
        if no is None and request.candidate_id != sender:
            return ()
        if no is None and request.pre_vote:
            reply = VoteReply(request.epoch, granted=True, pre_vote=True)
            return (SendVote(sender, reply),)
        if no is None:
            return self._grants(request, now_ms)
        effects: ElectionEffects = ()
        if no.adopts and not request.pre_vote:
            effects = self.met(request.epoch, now_ms)
        reply = VoteReply(
            self.epoch,
            granted=False,
            reason=no.reason,
            pre_vote=request.pre_vote,
            lends=no.behind and not self._settings.stands,
        )
        return (*effects, SendVote(sender, reply))

    def _grants(self, request: VoteRequest, now_ms: int) -> ElectionEffects:
        """The vote is durable before it is cast: a crash between them loses nothing."""
        farewell: ElectionEffects = ()
        if request.epoch > self.epoch:
            reason = f"{request.candidate_id} stands for epoch {request.epoch}"
            farewell = self._becomes_follower(reason, request.epoch, now_ms)
        persisted = self._persisted(request.epoch, request.candidate_id)
        self._waits(now_ms, self._settings.dead_after_ms)
        reply = VoteReply(request.epoch, granted=True)
        return (*farewell, persisted, SendVote(request.candidate_id, reply))

    def _sticks(self, now_ms: int) -> bool:
        silent_ms = now_ms - self._heard_ms
        return self.reigns or silent_ms < self._settings.dead_after_ms

    # --- As a candidate --------------------------------------------------------------

    def _suspects(self, now_ms: int) -> ElectionEffects:
        if self._renewal.is_due(self._record, now_ms):
            return self._stands(now_ms) if self._may_stand() else ()
        if self.auto_failover and self._may_stand():
            return self._asks_beforehand(Why.FAILOVER, now_ms)
        self._waits(now_ms, self._settings.dead_after_ms)
        return ()

    def _may_stand(self) -> bool:
        log, own = self._log(), self._settings.node_id
        is_voter = self._settings.stands and own in log.voters
        # The founder's rows would be nobody's if an empty node reigned first.
        founded = log.position.offset or self._settings.founder in ("", own)
        return is_voter and bool(founded) and log.sound and log.settled

    def _asks_beforehand(self, why: Why, now_ms: int) -> ElectionEffects:
        self._why = why
        self._move(ElectionState.PRE_CANDIDATE)
        return self._asks(Epoch(self.epoch + 1), now_ms)

    def _stands(self, now_ms: int) -> ElectionEffects:
        self._move(ElectionState.CANDIDATE)
        own = self._persisted(Epoch(self.epoch + 1), self._settings.node_id)
        return (own, *self._asks(self.epoch, now_ms))

    def _asks(self, epoch: Epoch, now_ms: int) -> ElectionEffects:
        self._ballot = Ballot(self._settings.node_id)
        self._deadline_ms = now_ms + self._settings.spread_ms
        position = self._log().position
        request = VoteRequest(
            cluster_id=self._settings.cluster_id,
            epoch=epoch,
            candidate_id=self._settings.node_id,
            position=position,
            history_id=position.history_id,
            pre_vote=self.state is ElectionState.PRE_CANDIDATE,
            transfer=self._why in (Why.SWITCHOVER, Why.RENEWAL),
        )
        others = set(self._log().voters) - {self._settings.node_id}
        asked = tuple(SendVote(voter, request) for voter in sorted(others))
        return (*asked, *self._counted(now_ms))

    def _answered(
        self, sender: NodeId, reply: VoteReply, now_ms: int
    ) -> ElectionEffects:
        if not reply.granted and reply.epoch > self.epoch:
            return self.met(reply.epoch, now_ms)
        pre_vote = self.state is ElectionState.PRE_CANDIDATE
        if self.state not in CAMPAIGNS or reply.pre_vote is not pre_vote:
            return ()
        if not reply.granted:
            self._ballot.refused(sender, lends=reply.lends)
        elif reply.epoch == self.epoch + pre_vote:
            self._ballot.granted(sender)
        return self._counted(now_ms)

    def _counted(self, now_ms: int) -> ElectionEffects:
        verdict = self._ballot.verdict(self._log().voters)
        if verdict is Verdict.OPEN:
            return ()
        if verdict is Verdict.LOST:
            return self._loses(now_ms)
        if self.state is ElectionState.PRE_CANDIDATE:
            return self._stands(now_ms)
        self._move(ElectionState.MASTER)
        return (BecomeMaster(self.epoch, self._why),)

    def _loses(self, now_ms: int) -> ElectionEffects:
        lender = self._ballot.lender
        if lender is None:
            return self._becomes_follower("no majority", self.epoch, now_ms)
        self._move(ElectionState.FETCHING)
        self._deadline_ms = now_ms + self._settings.dead_after_ms
        return (Fetch(lender),)

    def _told_to_take_over(self, order: TakeOver, now_ms: int) -> ElectionEffects:
        """The heir needs no pre-vote, and no silence (hard-case 15)."""
        follows = self.state is ElectionState.FOLLOWER and order.epoch == self.epoch
        if not (follows and self._may_stand()):
            return ()
        self._why = Why.SWITCHOVER
        return self._stands(now_ms)

    # --- How -------------------------------------------------------------------------

    def _becomes_follower(
        self, reason: str, epoch: Epoch, now_ms: int
    ) -> ElectionEffects:
        """A master acknowledges nothing from here on: that effect comes first."""
        reigned = self.reigns
        patience_ms = self._settings.dead_after_ms if reigned else 0
        self._waits(now_ms, patience_ms)
        if self.state is ElectionState.FOLLOWER:
            return ()
        was = self.state
        self._move(ElectionState.FOLLOWER)
        if reigned:
            return (StepDown(epoch, "", reason),)
        return (Report(Level.INFO, "election_ended", f"{was}: {reason}"),)

    def _persisted(self, epoch: Epoch, voted_for: NodeId) -> PersistVote:
        assert epoch >= self.epoch, "an epoch never ends before its time"
        self._record = VoteRecord(epoch, voted_for)
        return PersistVote(epoch, voted_for)

    def _waits(self, now_ms: int, least_ms: int) -> None:
        """Everybody another while, or all would stand at once (Raft, section 5.2)."""
        delay_ms = round(self._settings.spread_ms * (0.1 + 0.9 * self._random()))
        self._deadline_ms = now_ms + least_ms + delay_ms

    def _move(self, state: ElectionState) -> None:
        assert state in MOVES[self.state], f"no move: {self.state} to {state}"
        self.state = state
