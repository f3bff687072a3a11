"""A replica that votes."""

from nexus.model.position import Epoch, Offset
from nexus.replication.effects import Connect, Disconnect
from nexus.replication.settings import ReplicaSettings, Standing
from nexus.replication.voting_replica import VotingReplica
from replication.alone import member
from replication.examples import ONE_REIGN, REPLICA_NODE, welcome

END = Offset(4)


def welcomed(end: Offset = END, behind: int = 0) -> VotingReplica:
    """A replica that a master of epoch 1 streams to."""
    standing = Standing(
        history=ONE_REIGN.truncated_after(end), durable_offset=end, applied_offset=end
    )
    settings = ReplicaSettings(addresses=("a:1",), heartbeat_ms=1_000)
    found = VotingReplica(REPLICA_NODE, settings, standing, lambda: 0.0)
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
