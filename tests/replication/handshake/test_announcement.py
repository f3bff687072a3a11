import pytest

from nexus.errors import HandshakeRefusedError
from nexus.model.position import Epoch, Offset
from nexus.protocol.messages import Error
from nexus.replication.effects import Report, StepDown, StopWrites
from nexus.replication.handshake.admission import claims_to_be_master
from nexus.replication.handshake.announcement import (
    announcement,
    answered,
    require_heard,
)
from replication.examples import MASTER_NODE, TWO_REIGNS, welcome


def test_a_new_master_names_its_own_address_and_epoch() -> None:
    said = announcement(MASTER_NODE, TWO_REIGNS, Offset(10))

    assert claims_to_be_master(said)
    assert said.epoch == 2
    assert str(said.position) == "1:10@a1"


def test_an_answer_out_of_a_higher_epoch_deposes_the_announcer() -> None:
    refusal = Error("diverged", "no", Epoch(3), "c:1")
    greeting = welcome(epoch=Epoch(3))

    assert answered(refusal, TWO_REIGNS) == (
        StepDown(Epoch(3), "c:1", "the announcement was answered out of epoch 3"),
    )
    (order,) = answered(greeting, TWO_REIGNS)
    assert isinstance(order, StepDown)
    assert order.master_addr == ""


def test_a_master_of_the_same_epoch_stops_the_announcers_writes() -> None:
    assert answered(Error("split", "two", Epoch(2)), TWO_REIGNS) == (StopWrites("two"),)


def test_a_node_that_gives_way_is_only_reported() -> None:
    (report,) = answered(Error("deposed", "I step down", Epoch(2)), TWO_REIGNS)

    assert isinstance(report, Report)
    assert answered(welcome(), TWO_REIGNS) == ()


@pytest.mark.parametrize("code", ["stopping", "busy"])
def test_who_starts_stops_or_has_no_room_has_not_heard_it(code: str) -> None:
    with pytest.raises(HandshakeRefusedError, match="come again") as refused:
        require_heard(Error(code, "come again"))
    assert refused.value.reason == code


def test_who_gives_way_refuses_for_good_or_welcomes_has_heard_it() -> None:
    for answer in (Error("not_master", "a replica"), Error("split", "two"), welcome()):
        assert require_heard(answer) is answer
