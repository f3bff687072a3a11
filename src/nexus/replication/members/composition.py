"""What votes make of a node: a master or a replica, and what each asks of the other.

The state of `Member`, and how the effects of its machines lead to inputs of the others.
"""

from collections.abc import Callable

from msgspec.structs import replace

from nexus.model.cluster import Mode, NodeId
from nexus.model.position import ORIGIN, Epoch, EpochHistory, Position, Reign
from nexus.replication.cascades.relay import Relay
from nexus.replication.effects import (
    Adopt,
    CommitAdvanced,
    Connect,
    Effects,
    Install,
    Rewind,
    StepDown,
    Store,
)
from nexus.replication.elections.effects import (
    BecomeMaster,
    ElectionEffects,
    Fetch,
    HoldWrites,
    LogView,
    PersistVote,
    TakeWrites,
)
from nexus.replication.elections.elector import Elector
from nexus.replication.elections.moves import ElectionState
from nexus.replication.following.route import addresses_but
from nexus.replication.members.effects import (
    Announce,
    MemberEffect,
    MemberEffects,
    MemberSettings,
    RecoveredMember,
)
from nexus.replication.members.elected import ElectedMaster
from nexus.replication.members.electorate import ConfigurationEntry, Electorate
from nexus.replication.members.lending import Lending
from nexus.replication.members.voting_replica import VotingReplica
from nexus.replication.settings import Identity, LogExtent, RecoveredState


class Composition:
    """One elector for a node's life; beside it a reign, a replica, or for moments none.

    A reign ends in `_deposed`, and its node follows once `follow` is called; a replica
    ends in a BecomeMaster, and its node reigns once `reign` is called.
    """

    def __init__(
        self,
        identity: Identity,
        settings: MemberSettings,
        recovered: RecoveredMember,
        random: Callable[[], float],
        now_ms: int,
    ) -> None:
        """A follower, `start` it; `random` gives fractions of [0, 1)."""
        self._identity = identity
        self._settings = settings
        self._random = random
        self.electorate = Electorate(recovered.configurations)
        """Whom the log names as voters, and where they are."""
        self._sound = recovered.sound
        self._first_offset = recovered.first_offset
        self._witnesses: set[NodeId] = set()
        """Voters that have said they are."""
        self._lending = Lending(identity, settings.master)
        self._relay = Relay(identity, settings.master)
        self._position = ORIGIN
        record, had_master = recovered.met, recovered.had_master
        self.elector = Elector(
            settings.election, record, self._view, random, now_ms, had_master=had_master
        )
        self.elector.auto_failover = self.electorate.auto_failover
        self.master: ElectedMaster | None = None
        """The reign, while this node has one."""
        self.replica: VotingReplica | None = None
        """The replica; None while it reigns, and until `follow` after that."""
        self._followed(recovered.log)

    # --- What is known ---------------------------------------------------------------

    @property
    def epoch(self) -> Epoch:
        """The highest epoch met."""
        return self.elector.epoch

    @property
    def state(self) -> ElectionState:
        """What this node is in the eyes of the election."""
        return self.elector.state

    @property
    def voters(self) -> tuple[NodeId, ...]:
        """Of the latest configuration of the log."""
        return self.electorate.voters

    @property
    def configurations(self) -> tuple[ConfigurationEntry, ...]:
        """What a later rewind may need of them, oldest first."""
        return self.electorate.configurations

    @property
    def is_sound(self) -> bool:
        """Whether the log has all that was acknowledged, as far as is known."""
        return self._sound

    @property
    def mode(self) -> Mode:
        """The log's; the configured one while it names none."""
        return Mode.named(self.electorate.mode, self._settings.mode)

    @property
    def sync_quorum(self) -> int | None:
        """The log's, 0 for a majority; None while it names none."""
        return self.electorate.sync_quorum

    @property
    def history(self) -> EpochHistory:
        """Every reign of this node's log."""
        machine = self.master or self.replica
        return EpochHistory() if machine is None else machine.history

    def address_of(self, node_id: NodeId) -> str:
        """Where to reach a voter; empty for a node that is none."""
        return self.electorate.address_of(node_id)

    def _view(self) -> LogView:
        return LogView(
            position=self._end(),
            voters=self.electorate.voters,
            sound=self._sound,
            settled=self.replica is not None and self.replica.is_settled,
        )

    def _end(self) -> Position:
        """Of all that this node has ever acknowledged, and at least of that."""
        if self.replica is not None:
            self._position = self.replica.position
        elif self.master is not None:
            end = self.master.durable_offset
            self._position = self.master.history.position_at(end)
        return self._position

    # --- Life ------------------------------------------------------------------------

    def start(self) -> MemberEffects:
        """Look for a master."""
        assert self.replica is not None, "a node starts as a replica"
        return self.replica.start()

    def reign(self, reign: Reign, log: LogExtent, now_ms: int) -> MemberEffects:
        """What a BecomeMaster asked for may begin; `master` is None if it may not.

        The replica has left, nothing is being stored or applied. `reign` has the epoch
        of that effect, a history id of its own, and begins behind the log's end. Then
        append its first, empty entry, and call `stored` once it is durable.
        """
        if not self.elector.reigns or reign.epoch != self.epoch:
            return ()
        history = self.history.truncated_after(log.durable_offset).begun(reign)
        ended = self._relay.end("its upstream reigns")
        self.replica = None
        self.master = ElectedMaster(
            self._identity, self._settings, history, log, self.electorate, now_ms
        )
        self._first_offset = log.first_offset
        others = self.electorate.addresses_without(self._identity.node_id)
        return (*ended, Announce(others))

    def follow(self, log: RecoveredState) -> MemberEffects:
        """After a StepDown: the writer has ended, the log stands so; look for a master.

        Only what is in the log counts: what was appended, not answered, is in it too.
        """
        assert not self.elector.reigns, "a reign ends before its master follows"
        self._followed(log)
        return self.start()

    def _followed(self, log: RecoveredState) -> None:
        settings, own = self._settings.replica, self._identity
        # A voter's acknowledgements count with the true master alone.
        cascades = settings.cascades and own.node_id not in self.voters
        configured = settings.addresses
        others = self.electorate.addresses_without(own.node_id)
        named = (*configured, *others) if cascades else (*others, *configured)
        addresses = addresses_but(own.address, named)
        self.master = None
        self.replica = VotingReplica(
            self._identity,
            replace(settings, addresses=addresses, cascades=cascades),
            replace(log, epoch=max(log.epoch, self.epoch)),
            self._random,
        )
        if self._settings.witness:  # it has no database to apply to; all else it does
            self.replica.applying.pause()

    # --- What there is room for ------------------------------------------------------

    def lacks_space(self, now_ms: int) -> MemberEffects:
        """No room for what is to be stored: a master hands over, told often enough."""
        if self.replica is not None:
            return self._from_replica(self.replica.lacks_space(now_ms), now_ms)
        if self.master is None or self.elector.state is not ElectionState.MASTER:
            return ()
        heir = self.master.heir_with_room(self._witnesses, now_ms)
        if heir is None or not self.elector.auto_failover:
            return ()
        return self._from_elector(self.elector.switchover(heir, now_ms), now_ms)

    def drops_unstored(self) -> bool:
        """Whether what finds no room is not to be stored any more, nor in force."""
        if self.replica is None or not self.replica.drops_unstored():
            return False
        self.electorate.truncated_after(self.replica.durable_offset)
        self._reconfigured()
        return True

    def sized(self, size_bytes: int, now_ms: int) -> MemberEffects:
        """The log takes so much of the disk: a witness's has a cap (hard-case 11)."""
        if self.replica is None:
            return ()
        return self._from_replica(self.replica.sized(size_bytes, now_ms), now_ms)

    def changes(self, *, changes: bool, now_ms: int) -> MemberEffects:
        """An operator waits to have a configuration logged, or waits no more.

        What stands before it in the log then has room at every witness.
        """
        if self.master is None:
            return ()
        told = self.master.changes(changes=changes, now_ms=now_ms)
        return self._from_master(told, now_ms)

    # --- What one machine's effects mean for the others ------------------------------

    def _from_elector(self, effects: ElectionEffects, now_ms: int) -> MemberEffects:
        out: list[MemberEffect] = []
        for effect in effects:
            match effect:
                case PersistVote(epoch=epoch):
                    # It leaves before anything else happens: what an older master
                    # sends from now on is neither stored nor acknowledged.
                    out += self.replica.met(epoch) if self.replica else ()
                    out.append(effect)
                case StepDown():
                    out.append(effect)
                    out += self._deposed(effect, now_ms)
                case BecomeMaster():
                    assert self.replica is not None, "only a settled replica stands"
                    out += (*self.replica.stop(), effect)
                case Fetch(lender=lender):
                    out += self._borrows(lender)
                case HoldWrites(heir=heir):
                    assert self.master is not None, "only a master hands over"
                    self.master.hands_over(heir)
                    out.append(effect)
                case TakeWrites() if self.master and not self.master.takes_writes:
                    continue  # no clients were let in, so none were sent away
                case _:
                    out.append(effect)
        return (*out, *self._without_loan())

    def _from_master(self, effects: Effects, now_ms: int) -> MemberEffects:
        """A reign's effects, and what follows from its progress."""
        out: list[MemberEffect] = []
        for effect in effects:
            if isinstance(effect, StepDown):
                met = self.elector.overtaken if effect.vacant else self.elector.met
                out += self._from_elector(met(effect.epoch, now_ms), now_ms)
                continue
            out.append(effect)
            if isinstance(effect, CommitAdvanced):
                self.electorate.settled(effect.offset)
        if self.master is not None:
            out += self.master.progressed(now_ms)
            if self.master.heir_is_ready():
                out += self._from_elector(self.elector.heir_ready(now_ms), now_ms)
        return tuple(out)

    def _from_replica(self, effects: Effects, now_ms: int) -> MemberEffects:
        """A replica's effects; the log that it changes may be lent, or borrowed."""
        replica = self.replica
        assert replica is not None, "these are its effects"
        out: list[MemberEffect] = []
        lost = False
        for effect in effects:
            match effect:
                case Store(records=records):
                    out += self._lending.end("the log grows")
                    self.electorate.appended(records)
                    self._reconfigured()
                case Rewind() | Install():
                    out += self._lending.end("the log is replaced")
                    out += self._relay.end("its log is replaced")
                case Adopt() if replica.borrows:
                    continue  # the lender is no master
                case Connect() if replica.borrows:
                    lost = True
                    continue
            out.append(effect)
        # What it lacked of what was acknowledged, a master of its epoch has (12).
        self._sound = self._sound or replica.has_caught_up
        if lost or replica.has_borrowed_all:
            out += replica.gives_back(self.epoch)
            out += self._from_elector(self.elector.fetched(now_ms), now_ms)
        return (*out, *self._passed_on(now_ms))

    def _passed_on(self, now_ms: int) -> MemberEffects:
        """What the log's end by now means for the downstreams."""
        if self.replica is None or self._settings.witness or self.replica.borrows:
            return self._relay.end("its upstream has lost its own")
        votes = self._identity.node_id in self.voters
        leaves = self.replica.votes_now() if votes else ()
        return (*leaves, *self._relay.follow(self.replica, now_ms))

    def _reconfigured(self) -> None:
        self.elector.auto_failover = self.electorate.auto_failover

    def _deposed(self, order: StepDown, now_ms: int) -> MemberEffects:
        """Acknowledge nothing more; the log stands where it was last known to."""
        self._end()
        master, self.master, self.replica = self.master, None, None
        if master is None:  # it was to become one
            return ()
        return (*master.deposed_by(order, now_ms), *master.refused_reads(order.reason))

    def _borrows(self, lender: NodeId) -> MemberEffects:
        address = self.electorate.address_of(lender)
        assert self.replica is not None, "only a replica campaigns"
        # A disk at work, or a lender that is none any more: the election waits it out.
        if not (address and self.replica.is_settled):
            return ()
        return self.replica.borrow(address)

    def _without_loan(self) -> MemberEffects:
        """A loan ends with the election's wait for it."""
        fetching = self.elector.state is ElectionState.FETCHING
        if self.replica is None or not self.replica.borrows or fetching:
            return ()
        return self.replica.gives_back(self.epoch)
