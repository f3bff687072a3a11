"""What two nodes say of themselves when they meet."""

from nexus.model.position import Epoch, Offset
from nexus.protocol.messages import Plan
from nexus.replication.handshake.admission import Admission
from nexus.replication.handshake.introduction import hello_of, welcome_of
from replication.examples import MASTER_NODE, ONE_REIGN, TWO_REIGNS


def test_a_hello_says_the_highest_epoch_met_not_only_the_logs() -> None:
    said = hello_of(MASTER_NODE, ONE_REIGN, Offset(7), epoch=Epoch(5))

    assert said.epoch == 5
    assert said.history == ONE_REIGN
    assert str(said.position) == "1:7@a1"


def test_a_hello_names_no_reign_that_its_log_does_not_hold() -> None:
    said = hello_of(MASTER_NODE, TWO_REIGNS, Offset(10), epoch=Epoch(2))

    assert said.history == ONE_REIGN
    assert said.epoch == 2


def test_a_welcome_says_who_reigns_how_far_and_what_is_to_follow() -> None:
    said = welcome_of(
        MASTER_NODE,
        TWO_REIGNS,
        end=Offset(12),
        commit=Offset(11),
        admission=Admission(Plan.REWIND, Offset(7)),
        heartbeat_ms=250,
    )

    assert (said.master_id, said.epoch) == (MASTER_NODE.node_id, 2)
    assert said.history == TWO_REIGNS
    assert (said.current_offset, said.commit_offset) == (12, 11)
    assert (said.plan, said.from_offset) == (Plan.REWIND, 7)
    assert said.heartbeat_ms == 250
