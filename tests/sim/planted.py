"""Classic faults, planted one by one: a checker that finds none of them proves nothing.

Each is a patch of one place of the true machines, or of the simulated driver.
"""

from collections.abc import Callable
from typing import Any, Final

import pytest
from msgspec.structs import replace

from nexus.model.position import NO_OFFSET, Offset
from nexus.protocol.messages import Pong, WalAck
from nexus.replication.cascades import relay
from nexus.replication.cascades.relay import Relay
from nexus.replication.effects import (
    MASTER,
    CommitAdvanced,
    Diverged,
    Send,
    Store,
)
from nexus.replication.elections import votes
from nexus.replication.elections.effects import PersistVote, TakeWrites, VoteRecord
from nexus.replication.elections.elector import Elector
from nexus.replication.following import acceptance
from nexus.replication.following.applying import Applying
from nexus.replication.following.homing import Homing
from nexus.replication.following.incoming import Incoming
from nexus.replication.following.link import Link
from nexus.replication.following.route import Route
from nexus.replication.handshake import admission
from nexus.replication.members.composition import Composition
from nexus.replication.members.effects import ReadReady
from nexus.replication.members.elected import ElectedMaster, Phase
from nexus.replication.members.electorate import Electorate
from nexus.replication.members.room import Room
from nexus.replication.members.voting_replica import VotingReplica
from nexus.replication.quorum import committed_offset
from nexus.replication.replica import Replica
from nexus.replication.streaming.lease import Lease
from nexus.replication.streaming.progress import Progress
from nexus.replication.streaming.streams import Streams
from nexus.replication.streaming.tally import Tally
from sim import disk as disks
from sim import node, surgery
from sim.node import Process
from sim.world import World
from sim.writer import Writer

Patch = pytest.MonkeyPatch


def ack_before_sync(patch: Patch) -> None:
    """A replica acknowledges what it has written, not what is durable."""

    def store(process: Process, effect: Store) -> None:
        records = list(effect.records)
        process.disk.append(records)
        stored = process.member.stored(records[-1].offset, process.now())
        process.world.later(process, 30, process.disk.sync)
        process.take(stored)

    patch.setitem(node.PERFORM, Store, store)


def vote_twice(patch: Patch) -> None:
    """A voter forgets whom it has voted for."""
    patch.setattr(votes, "_taken", lambda *_: None)


def vote_for_a_stale_candidate(patch: Patch) -> None:
    """A voter does not look at the candidate's log."""
    patch.setattr(votes, "_behind", lambda *_: None)


def vote_before_it_is_durable(patch: Patch) -> None:
    """The vote is cast at once, and is on the disk some time later."""

    def persist(process: Process, effect: PersistVote) -> None:
        def written() -> None:
            process.disk.record = VoteRecord(effect.epoch, effect.voted_for)

        process.world.later(process, 150, written)

    patch.setitem(node.PERFORM, PersistVote, persist)


def no_pre_vote(patch: Patch) -> None:
    """Whoever is impatient raises its epoch, and deposes the master on its return."""

    def stands(elector: Elector, why: Any, now_ms: int) -> Any:
        elector._why = why
        elector._move = lambda state: setattr(elector, "state", state)  # type: ignore[method-assign]  # every move is legal
        return elector._stands(now_ms)

    patch.setattr(Elector, "_asks_beforehand", stands)


def no_step_down(patch: Patch) -> None:
    """A master that nobody answers acknowledges on."""
    patch.setattr(ElectedMaster, "has_lost_quorum", lambda *_: False)
    patch.setattr(
        ElectedMaster, "may_acknowledge", lambda master, _: master.takes_writes
    )


def old_entries_commit_by_counting(patch: Patch) -> None:
    """Raft, figure 8: an entry of an earlier reign commits by its copies alone."""

    def advanced(self: Streams) -> Any:
        voters, held = self.tally.voters, self._held()
        counted = {node: offset for node, offset in held.items() if node in voters}
        committed = committed_offset(counted, quorum=self.tally.quorum)
        if committed <= self.commit:
            return ()
        self.commit = committed
        return (CommitAdvanced(committed),)

    patch.setattr(Streams, "_advanced", advanced)


def rewind_too_short(patch: Patch) -> None:
    """One entry that the master does not have is kept."""
    cut = disks.Disk.cut
    patch.setattr(disks.Disk, "cut", lambda disk, last: cut(disk, last + 1))


def fork_too_late(patch: Patch) -> None:
    """The last common entry is taken to be the one after it."""
    true_fork = admission.fork_between

    def late(own: Any, own_end: Offset, other: Any, other_end: Offset) -> Offset:
        fork = true_fork(own, own_end, other, other_end)
        return Offset(min(fork + 1, other_end))

    patch.setattr(admission, "fork_between", late)


def apply_twice(patch: Patch) -> None:
    """The applied position is committed after the rows: a crash comes in between."""
    lose_power = disks.Disk.lose_power

    def loses(disk: disks.Disk, chance: Any) -> None:
        lose_power(disk, chance)
        disk.rows.extend(disk.rows[-1:])

    patch.setattr(disks.Disk, "lose_power", loses)


def stale_strong_read(patch: Patch) -> None:
    """A master answers without asking whether it still reigns."""

    def read(self: ElectedMaster, read_id: str, now_ms: int) -> None:
        self._reads.ask(read_id, -1, now_ms)

    patch.setattr(ElectedMaster, "read", read)


def snapshot_without_position(patch: Patch) -> None:
    """A snapshot is said to stand where the log ended when it was made."""

    def copied(disk: disks.Disk) -> disks.Copy:
        copy = copy_of(disk)
        return disks.Copy(copy.rows[:-1], copy.history, copy.configurations)

    copy_of = disks.Disk.copy
    offset = property(lambda copy: Offset(len(copy.rows) + 1))
    patch.setattr(disks.Disk, "copy", copied)
    patch.setattr(disks.Copy, "offset", offset)


def learner_counts(patch: Patch) -> None:
    """A learner's copy counts in the quorum."""
    patch.setattr(Tally, "counts", lambda *_: True)


def lease_from_the_answer(patch: Patch) -> None:
    """The lease counts from the moment at which the answer came."""
    receive = ElectedMaster.receive

    def receives(self: ElectedMaster, peer: Any, message: Any, now_ms: int) -> Any:
        progress = self._fleet.at(peer)
        effects = receive(self, peer, message, now_ms)
        if progress is not None and isinstance(message, Pong):
            answers = self._streams.lease._answered
            stamp, _ = answers.get(progress.node_id, (0, 0))
            answers[progress.node_id] = (stamp, now_ms)
        return effects

    patch.setattr(ElectedMaster, "receive", receives)


def loyal_to_the_old_master(patch: Patch) -> None:
    """A voter acknowledges an older master's entries after its vote."""

    patch.setattr(VotingReplica, "met", lambda *_: ())


def clients_too_early(patch: Patch) -> None:
    """A new master takes writes before it has applied what its log holds."""

    def progressed(self: ElectedMaster, now_ms: int) -> Any:
        if self._phase is not Phase.OPEN:
            self._phase = Phase.OPEN
            return (TakeWrites("at once"),)
        return self._answered_reads(now_ms)

    def decides(writer: Writer) -> None:
        if writer._batch:
            decide(writer)
        else:
            writer._end = Offset(0)

    decide = Writer._decide
    patch.setattr(ElectedMaster, "progressed", progressed)
    patch.setattr(Writer, "_decide", decides)


def thrown_away(patch: Patch) -> None:
    """What a rewind takes back is not kept."""
    patch.setitem(node.PERFORM, Diverged, lambda *_: None)


def restarted_voter_votes_at_once(patch: Patch) -> None:
    """A voter that was restarted has forgotten that it has a master."""
    init = Elector.__init__

    def forgets(self: Elector, *args: Any, had_master: bool) -> None:
        del had_master
        init(self, *args, had_master=False)

    patch.setattr(Elector, "__init__", forgets)


def answer_to_an_older_ping(patch: Patch) -> None:
    """Any Pong is taken for the answer to the newest Ping."""
    answered = Lease.answered

    def newest(self: Lease, node_id: Any, stamp: int) -> None:
        pings = self._open.get(node_id)
        answered(self, node_id, pings[-1][0] if pings else stamp)

    patch.setattr(Lease, "answered", newest)


def read_before_the_first_entry(patch: Patch) -> None:
    """A new master serves strong reads before its first entry is committed."""

    def progressed(self: ElectedMaster, now_ms: int) -> Any:
        ready = self._reads.ready(1 << 62, self.commit_offset)
        assert all(isinstance(one, ReadReady) for one in ready)
        return (*ready, *true_progressed(self, now_ms))

    true_progressed = ElectedMaster.progressed
    patch.setattr(ElectedMaster, "progressed", progressed)


def counts_itself_before_its_sync(patch: Patch) -> None:
    """A master that sends ahead of its own sync takes its copy for durable."""

    def written(self: Streams, offset: Offset, now_ms: int) -> Any:
        self._written = offset
        return self.stored(offset, now_ms)

    patch.setattr(Streams, "written", written)


def a_repeated_entry_is_taken_for_the_next(patch: Patch) -> None:
    """A replica numbers what comes by itself."""
    take = Incoming.take

    def takes(self: Incoming, entries: Any, now_ms: int) -> Any:
        numbered = [
            replace(entry, offset=Offset(offset))
            for offset, entry in enumerate(entries, start=self.received + 1)
        ]
        return take(self, numbered, now_ms)

    patch.setattr(Incoming, "take", takes)


def a_repeated_ack_counts_again(patch: Patch) -> None:
    """A master adds up what its replicas acknowledge."""
    acked = Progress.acknowledged

    def adds(self: Progress, durable: Offset, applied: Offset, now_ms: int) -> None:
        is_repeated = durable == self.acked > self.shared
        acked(self, Offset(durable + is_repeated), applied, now_ms)

    patch.setattr(Progress, "acknowledged", adds)


def an_install_without_an_intent(patch: Patch) -> None:
    """Nothing is known at the start of what had begun before a crash."""
    patch.setattr(surgery, "begin", lambda *_: None)


def a_rewind_that_is_not_synced(patch: Patch) -> None:
    """Hard-case 2: the log is cut, and after a power cut the rows are back."""
    lose_power = disks.Disk.lose_power

    def loses(disk: disks.Disk, chance: Any) -> None:
        intent = disk.intent
        lose_power(disk, chance)
        if intent is not None and intent.kind == "rewind":
            disk.rows = list(intent.before)
            disk.rows_synced = len(disk.rows)

    patch.setattr(disks.Disk, "lose_power", loses)


def a_wiped_voter_votes(patch: Patch) -> None:
    """Its catalog is there, its log is not, and it stands and votes at once."""
    patch.setattr(disks.Disk, "is_sound", True)


def a_new_disk_under_the_old_id(patch: Patch) -> None:
    """Hard-case 3: whoever answers at a voter's address is that voter."""

    def replaced(world: World, name: str, for_ms: int) -> None:
        world.crash(name, for_ms)
        disk = world.disks[name]
        disk.wipe()
        disk.record, disk.watermark = VoteRecord(), NO_OFFSET
        disk.incomplete = False

    patch.setattr(World, "replace", replaced)


def fewer_than_the_quorum(patch: Patch) -> None:
    """A majority is enough, whatever was configured."""

    def quorum(tally: Tally) -> int:
        return tally._majority if tally.voters else tally._quorum

    patch.setattr(Tally, "quorum", property(quorum))


def each_master_has_its_own_quorum(patch: Patch) -> None:
    """A master goes by its own configuration, whatever the log names."""

    def asked(master: ElectedMaster, _logged: int | None) -> int:
        return master._own.sync_quorum

    patch.setattr(ElectedMaster, "_asked", asked)


def every_position_is_believed(patch: Patch) -> None:
    """A master does not ask whether an acknowledgement can be true."""
    patch.setattr(Streams, "refuted", lambda *_: "")


def follows_another_cluster(patch: Patch) -> None:
    """A replica does not look at its master's cluster."""
    patch.setattr(acceptance, "foreign", lambda *_: None)


def admits_another_cluster(patch: Patch) -> None:
    """A master welcomes whoever comes."""
    patch.setattr(admission, "_stranger", lambda *_: None)


def votes_for_another_cluster(patch: Patch) -> None:
    """A voter does not ask whose candidate it is."""
    patch.setattr(votes, "_stranger", lambda *_: None)


def strong_read_by_the_lease(patch: Patch) -> None:
    """Clocks are trusted: who may acknowledge answers without asking (they jump)."""

    def read(self: ElectedMaster, read_id: str, now_ms: int) -> None:
        asked = -1 if self.may_acknowledge(now_ms) else self._streams.lease.last_stamp
        self._reads.ask(read_id, asked, now_ms)

    patch.setattr(ElectedMaster, "read", read)


def a_relay_shows_what_is_not_committed(patch: Patch) -> None:
    """A replica passes on what is durable here, and says that it is committed."""
    patch.setattr(VotingReplica, "safe", property(lambda one: one._log.durable))


def a_relay_outlives_a_rewind(patch: Patch) -> None:
    """Downstreams are served on, although the log is not what it was."""
    patch.setattr(Relay, "end", lambda *_: ())


def a_full_witness_acknowledges(patch: Patch) -> None:
    """At its cap it drops entries, and says that it has them."""
    receive = VotingReplica.receive_entries

    def receives(self: VotingReplica, entries: Any, now_ms: int) -> Any:
        if not self.room.is_full:
            return receive(self, entries, now_ms)
        self.room.has_dropped = True
        return (Send(MASTER, WalAck(entries[-1].offset, NO_OFFSET)),)

    patch.setattr(VotingReplica, "receive_entries", receives)
    a_full_witness_says_nothing(patch)


def a_full_witness_says_nothing(patch: Patch) -> None:
    """Its master takes writes that nobody can hold."""
    patch.setattr(VotingReplica, "is_full", False)


def a_full_disk_is_not_told(patch: Patch) -> None:
    """Writes wait for a replica that cannot store them."""
    patch.setattr(Replica, "lacks_space", lambda *_: ())


def a_full_master_keeps_its_reign(patch: Patch) -> None:
    """It refuses every write, and others would have room."""

    def only_says_so(self: Composition, now_ms: int) -> Any:
        replica = self.replica
        return () if replica is None else replica.lacks_space(now_ms)

    patch.setattr(Composition, "lacks_space", only_says_so)


def a_full_voter_waits_for_room(patch: Patch) -> None:
    """Its vote is not cast before it has stored what a dead master has sent."""
    patch.setattr(VotingReplica, "drops_unstored", lambda _: False)


def what_found_no_room_is_in_force(patch: Patch) -> None:
    """A master goes by voters that its log does not name."""
    placed = Electorate.placed

    def stays(self: Electorate, offset: Offset, named: Any) -> None:
        if named is not None:
            placed(self, offset, named)

    patch.setattr(Electorate, "placed", stays)


def a_disk_is_full_for_ever(patch: Patch) -> None:
    """There is space again, the replica says so, and its master heeds it not."""

    def heeds(self: Progress, ack: WalAck) -> None:
        self.no_space |= ack.no_space

    patch.setattr(Progress, "heeds", heeds)


def any_byte_is_a_sign_of_life(patch: Patch) -> None:
    """A line that drips is held for a master that lives."""
    patch.setattr(Link, "grows", lambda link, _, now_ms: link.heard(now_ms))


def a_slow_line_is_silence(patch: Patch) -> None:
    """Whoever is sent something large takes its master for dead meanwhile."""
    patch.setattr(Link, "grows", lambda *_: None)


def a_full_witness_stores_on(patch: Patch) -> None:
    """There is a cap, and nobody looks at it."""
    patch.setattr(Room, "is_full", False)


def who_was_removed_is_forgotten_at_once(patch: Patch) -> None:
    """A witness drops what only a former voter lacks, which may be one again."""
    forgotten = property(lambda tally: tally.voters)
    patch.setattr(Tally, "_counted_for_retention", forgotten)


def a_pause_that_a_restart_ends(patch: Patch) -> None:
    """What an operator has stopped is not in the catalog."""
    init = Replica.__init__

    def forgets(self: Replica, *args: Any) -> None:
        init(self, *args)
        self.applying.paused = False

    patch.setattr(Replica, "__init__", forgets)


def what_is_committed_is_applied_in_spite_of_a_pause(patch: Patch) -> None:
    """A replica is shown as paused, and applies on."""
    patch.setattr(Applying, "_chosen", lambda applying: applying._log.safe)


def any_entry_of_the_chosen_offset(patch: Patch) -> None:
    """An entry was chosen, a rewind took it back, and another one has its offset."""

    def chosen(self: Applying) -> Offset:
        stop = self._stops_at
        return self._log.goal if stop is None else min(stop.offset, self._log.safe)

    patch.setattr(Applying, "_chosen", chosen)


def every_answer_of_home_is_good(patch: Patch) -> None:
    """A replica leaves its stand-in for an upstream that follows nobody itself."""
    patch.setattr(Homing, "_is_good", lambda *_: True)


def home_may_follow_who_comes_home(patch: Patch) -> None:
    """In a ring, one asks another that follows it, and nobody says so."""
    patch.setattr(relay, "named", lambda *_: ())


def home_may_lack_what_a_replica_has(patch: Patch) -> None:
    """It is asked as by one that has nothing yet."""
    due = Homing.due

    def asks(self: Homing, now_ms: int) -> str:
        address = due(self, now_ms)
        self.offset = NO_OFFSET
        return address

    patch.setattr(Homing, "due", asks)


def nobody_comes_home(patch: Patch) -> None:
    """A stand-in is followed for ever."""
    patch.setattr(Homing, "due", lambda *_: "")


def an_answer_without_a_stand_in_is_not_heard(patch: Patch) -> None:
    """Home was not well, and the stand-in was lost just then: it counts as nothing."""
    answered = Homing.answered

    def deaf(self: Homing, reply: Any, **known: Any) -> Any:
        return answered(self, reply, **known) if self._link.streams else ()

    patch.setattr(Homing, "answered", deaf)


def home_is_left_at_the_first_failure(patch: Patch) -> None:
    """Each return of an upstream drives its downstreams off, and that lasts longer."""
    after_failure = Route.after_failure

    def leaves(self: Route) -> Any:
        index = self._index
        connect = after_failure(self)
        if self._index == index or self._tries_left == self._first_tries:
            return connect
        self._index = index
        self.target = self._addresses[index]
        return replace(connect, address=self.target)

    patch.setattr(Route, "after_failure", leaves)


PLANTED_IN_HOMECOMINGS: Final[tuple[Callable[[Patch], None], ...]] = (
    every_answer_of_home_is_good,
    home_may_follow_who_comes_home,
    home_may_lack_what_a_replica_has,
    nobody_comes_home,
    an_answer_without_a_stand_in_is_not_heard,
    home_is_left_at_the_first_failure,
)

PLANTED_FOR_ABSENCE: Final[tuple[Callable[[Patch], None], ...]] = (
    a_full_witness_acknowledges,
    a_full_witness_stores_on,
    who_was_removed_is_forgotten_at_once,
)

PLANTED_IN_CHAINS: Final[tuple[Callable[[Patch], None], ...]] = (
    a_relay_shows_what_is_not_committed,
    a_relay_outlives_a_rewind,
)

PLANTED_IN_FULLNESS: Final[tuple[Callable[[Patch], None], ...]] = (
    what_found_no_room_is_in_force,
)

PLANTED: Final[tuple[Callable[[Patch], None], ...]] = (
    ack_before_sync,
    vote_twice,
    vote_for_a_stale_candidate,
    vote_before_it_is_durable,
    no_pre_vote,
    no_step_down,
    old_entries_commit_by_counting,
    rewind_too_short,
    fork_too_late,
    apply_twice,
    stale_strong_read,
    snapshot_without_position,
    learner_counts,
    lease_from_the_answer,
    clients_too_early,
    thrown_away,
    restarted_voter_votes_at_once,
    read_before_the_first_entry,
    counts_itself_before_its_sync,
    a_repeated_entry_is_taken_for_the_next,
    a_repeated_ack_counts_again,
    fewer_than_the_quorum,
    each_master_has_its_own_quorum,
    every_position_is_believed,
    follows_another_cluster,
    admits_another_cluster,
    votes_for_another_cluster,
)

PLANTED_FOR: Final[tuple[tuple[str, Callable[[Patch], None]], ...]] = (
    ("surgery", an_install_without_an_intent),
    ("surgery", a_rewind_that_is_not_synced),
    ("wipe", a_wiped_voter_votes),
    ("replace", a_new_disk_under_the_old_id),
    ("leap", strong_read_by_the_lease),
    ("pause master", answer_to_an_older_ping),
    ("fill", a_disk_is_full_for_ever),
    ("drip", any_byte_is_a_sign_of_life),
    ("thin line", a_slow_line_is_silence),
    ("halt", a_pause_that_a_restart_ends),
    ("halt", what_is_committed_is_applied_in_spite_of_a_pause),
    ("halt", any_entry_of_the_chosen_offset),
)
"""What it takes to find them is rare in a run of any kind."""
