"""A replica that votes."""

from msgspec.structs import replace

from nexus.model.position import Epoch, Offset
from nexus.protocol.messages import Error, Ping, Plan, Pong, WalAck
from nexus.replication.effects import (
    MASTER,
    Connect,
    Disconnect,
    Report,
    Send,
    Store,
)
from nexus.replication.members.voting_replica import VotingReplica
from nexus.replication.settings import RecoveredState, ReplicaSettings
from replication.alone import member
from replication.examples import (
    ONE_REIGN,
    REPLICA_NODE,
    TWO_REIGNS,
    entry,
    welcome,
)

END = Offset(4)


def welcomed(end: Offset = END, behind: int = 0, hold: int = 0) -> VotingReplica:
    """A replica that a master of epoch 1 streams to."""
    recovered = RecoveredState(
        history=ONE_REIGN.truncated_after(end), durable_offset=end, applied_offset=end
    )
    settings = ReplicaSettings(addresses=("a:1",), heartbeat_ms=1_000, hold_bytes=hold)
    found = VotingReplica(REPLICA_NODE, settings, recovered, lambda: 0.0)
    found.start()
    found.connected_to_master(0)
    found.receive(welcome(end, end + behind, ONE_REIGN), 0)
    return found


def test_a_met_epoch_is_kept_and_a_lower_one_is_nothing() -> None:
    replica = member("a", "b").replica
    assert replica is not None

    replica.met(Epoch(4))

    assert replica.epoch == 4
    assert replica.met(Epoch(3)) == ()


def test_the_only_voter_is_not_told_that_it_has_reached_itself() -> None:
    recovered = RecoveredState(
        history=ONE_REIGN, durable_offset=Offset(0), applied_offset=Offset(0)
    )
    settings = ReplicaSettings(addresses=(REPLICA_NODE.address,))
    found = VotingReplica(REPLICA_NODE, settings, recovered, lambda: 0.0)
    found.start()
    found.connected_to_master(0)

    ended, again = found.receive(Error("malformed", "b has reached itself"), 5)

    assert ended == Disconnect("no other node to follow is known")
    assert isinstance(again, Connect)


def test_a_voter_that_others_refuse_says_why() -> None:
    found = welcomed()
    found.disconnected("gone")
    found.connected_to_master(5)

    report, *_ = found.receive(Error("cluster", "not yours"), 10)

    assert isinstance(report, Report)
    assert "not yours" in report.detail


def test_what_has_no_room_is_given_up_with_the_master_that_has_sent_it() -> None:
    found = welcomed(behind=2)
    found.receive_entries((entry(5), entry(6)), 10)
    found.lacks_space(20)

    settled = [found.is_settled]
    dropped = [found.drops_unstored()]  # its master waits for it
    found.disconnected("gone")
    dropped.append(found.drops_unstored())
    settled.append(found.is_settled)

    assert settled == dropped == [False, True]
    assert found.position.offset == found.durable_offset == END
    (hello,) = found.connected_to_master(30)
    assert isinstance(hello, Send)
    assert not found.drops_unstored()  # another one may send it again


def test_a_loan_is_asked_for_and_given_back() -> None:
    replica = member("a", "b").replica
    assert replica is not None
    replica.met(Epoch(4))

    asked = replica.borrow("w")
    ended = replica.gives_back(Epoch(5))

    assert [type(effect) for effect in asked] == [Disconnect, Connect]
    assert asked[1] == Connect("w", 0)
    assert replica.epoch == 5
    assert isinstance(ended[1], Connect)
    assert not replica.borrows


def test_a_vote_goes_by_what_is_synced_here() -> None:
    replica = welcomed()

    assert replica.durable_offset == END
    assert replica.position == ONE_REIGN.position_at(END)
    assert replica.is_settled


def test_the_master_of_an_older_epoch_is_left_at_once() -> None:
    replica = welcomed()

    left = replica.met(Epoch(9))

    assert Disconnect in [type(effect) for effect in left]
    assert replica.epoch == 9


def test_a_higher_epoch_ends_a_loan() -> None:
    replica = welcomed()
    replica.borrow("w")

    ended = replica.met(Epoch(9))

    assert not replica.borrows
    assert Connect in [type(effect) for effect in ended]
    assert replica.epoch == 9


def test_a_loan_is_whole_once_all_that_the_lender_has_is_synced() -> None:
    replica = welcomed()
    assert not replica.has_borrowed_all, "nothing is borrowed"

    replica.borrow("w")
    assert not replica.has_borrowed_all, "the lender is not there yet"
    replica.connected_to_master(10)
    replica.receive(welcome(END, END, ONE_REIGN), 10)

    assert replica.has_borrowed_all


def test_who_has_become_a_voter_leaves_a_replica_for_the_master() -> None:
    found = welcomed()
    assert found.votes_now() == ()
    found.disconnected("gone")
    found.connected_to_master(5)
    found.receive(welcome(END, 10, ONE_REIGN, features=("cascade", "via=a,m")), 5)
    assert found.follows_replica
    assert found.master_id == "a"

    left, _ = found.votes_now()

    assert left == Disconnect("a voter follows the master itself")


PING = Ping(
    20,
    Offset(8),
    END,
    ONE_REIGN.epoch,
    "cluster",
    ONE_REIGN.history_id,
    held_offset=END,
)


def full() -> VotingReplica:
    """A witness whose log has reached its cap, and which has left an entry."""
    found = welcomed(hold=80)
    found.sized(80, 5)
    assert found.receive_entries((entry(5),), 10) == ()
    return found


def test_a_full_witness_stores_and_acknowledges_nothing() -> None:
    found = full()

    assert found.durable_offset == END
    assert found.is_settled, "it lends what it has"
    assert found.receive(entry(6), 15) == ()
    assert found.tick(900) == ()


def test_a_witness_says_at_once_that_it_is_full() -> None:
    found = welcomed(hold=80)

    told, said = found.sized(80, 5)
    (answered,) = found.receive(PING, 20)
    _, lifted = found.receive(replace(PING, overrun=True), 20)
    _, full_again = found.receive(PING, 20)

    assert isinstance(told, Report)
    assert said == Send(MASTER, WalAck(END, END, full=True))
    assert answered == Send(MASTER, Pong(20, END, END))
    assert lifted == Send(MASTER, WalAck(END, END))
    assert full_again == said
    assert found.sized(81, 30) == (), "the master knows"


def test_a_witness_without_a_master_tells_nobody_that_it_is_full() -> None:
    found = welcomed(hold=80)
    found.disconnected("gone")

    (told,) = found.sized(80, 5)

    assert isinstance(told, Report)


def test_a_full_witness_answers_and_learns_what_all_voters_hold() -> None:
    found = full()

    (said,) = found.receive(PING, 20)

    assert isinstance(said, Send)
    assert said.message.durable_offset == END  # type: ignore[union-attr]  # a Pong
    assert found.held_by_all == END


def test_a_witness_with_room_again_goes_on_from_its_own_end() -> None:
    found = full()

    told, left, again = found.sized(10, 25)
    hello = found.connected_to_master(30)
    found.receive(welcome(END, 8, ONE_REIGN), 30)
    (store,) = found.receive_entries((entry(5),), 40)

    assert isinstance(told, Report)
    assert left == Disconnect("the log has room again: connecting anew")
    assert again == Connect("a:1", 0)
    assert len(hello) == 1
    assert isinstance(store, Store)


def test_a_witness_that_has_left_nothing_stays_connected() -> None:
    found = welcomed(hold=80)
    found.sized(80, 5)

    told, said = found.sized(10, 25)

    assert isinstance(told, Report)
    assert said == Send(MASTER, WalAck(END, END)), "it has room"
    assert found.receive_entries((entry(5),), 10) != ()


def test_a_witness_that_connects_anew_while_it_is_full_is_full_there_too() -> None:
    found = full()
    found.disconnected("gone")
    found.connected_to_master(30)
    (acknowledged,) = found.receive(welcome(END, 8, ONE_REIGN), 30)[1:]

    assert acknowledged == Send(MASTER, WalAck(END, END, full=True))
    assert found.receive_entries((entry(5),), 40) == ()


def test_a_full_witness_stores_what_changes_the_voters() -> None:
    found = full()

    said, left, _again = found.receive(replace(PING, overrun=True), 20)
    found.connected_to_master(30)
    found.receive(welcome(END, 8, ONE_REIGN), 30)
    stored = found.receive_entries((entry(5),), 40)
    found.stored(Offset(5), 45)
    found.receive(replace(PING, timestamp=50), 50)

    assert isinstance(said, Send)
    assert isinstance(left, Disconnect)
    assert isinstance(stored[0], Store)
    assert found.receive_entries((entry(6),), 60) == ()


def test_what_could_not_be_taken_back_keeps_nobody_from_standing() -> None:
    end = Offset(14)
    recovered = RecoveredState(
        history=ONE_REIGN.truncated_after(end), durable_offset=end, applied_offset=end
    )
    settings = ReplicaSettings(addresses=("a:1",), heartbeat_ms=1_000)
    found = VotingReplica(REPLICA_NODE, settings, recovered, lambda: 0.0)
    found.start()
    found.connected_to_master(0)
    found.receive(welcome(10, 20, TWO_REIGNS, plan=Plan.REWIND), 0)
    at_work = found.is_settled

    found.rewind_failed("a schema statement", 10)
    found.disconnected("the master is gone for ever")

    assert not at_work
    assert found.is_settled
    assert found.position == ONE_REIGN.position_at(end)


def test_a_database_that_an_entry_did_not_fit_keeps_its_node_from_standing() -> None:
    found = welcomed()

    found.apply_failed("no such table", 10)

    assert not found.is_settled
