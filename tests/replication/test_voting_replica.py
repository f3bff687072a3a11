"""A replica that votes."""

from nexus.model.position import Epoch
from nexus.replication.effects import Connect, Disconnect
from replication.alone import member


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
