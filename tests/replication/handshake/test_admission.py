from typing import Any

import pytest

from nexus.model.position import Epoch, Offset, Position
from nexus.protocol.messages import ErrorCode, Hello, Plan
from nexus.replication.handshake.admission import (
    Admission,
    Refusal,
    claims_to_be_master,
    judged,
    turned_away,
    well_formed,
)
from nexus.replication.settings import LogExtent
from replication.examples import (
    MASTER_NODE,
    ONE_REIGN,
    REPLICA_NODE,
    TWO_REIGNS,
    hello,
    history,
)

LOG = LogExtent(Offset(5), Offset(20))


def answer(said: Hello, own: Any = TWO_REIGNS, log: LogExtent = LOG) -> Any:
    return judged(said, MASTER_NODE, own, log)


@pytest.mark.parametrize("end", [4, 10, 15, 20])
def test_a_log_that_is_the_beginning_of_ours_streams_from_its_end(end: int) -> None:
    assert answer(hello(end, TWO_REIGNS)) == Admission(Plan.STREAM, Offset(end))


@pytest.mark.parametrize("end", [0, 3])
def test_a_log_that_ends_before_ours_begins_needs_a_snapshot(end: int) -> None:
    assert answer(hello(end)) == Admission(Plan.FULL_SYNC, Offset(end))


def test_an_empty_node_without_a_cluster_streams_if_the_log_is_whole() -> None:
    whole = LogExtent(Offset(1), Offset(20))

    found = answer(hello(cluster_id=""), log=whole)

    assert found == Admission(Plan.STREAM, Offset(0))


def test_a_replica_ahead_of_its_master_has_diverged_after_our_end() -> None:
    assert answer(hello(25, TWO_REIGNS)) == Admission(Plan.REWIND, Offset(20))


def test_a_log_that_left_our_history_keeps_what_both_share() -> None:
    assert answer(hello(14)) == Admission(Plan.REWIND, Offset(10))


def test_a_log_that_left_before_ours_begins_needs_a_snapshot() -> None:
    short = LogExtent(Offset(12), Offset(20))

    assert answer(hello(14), log=short) == Admission(Plan.FULL_SYNC, Offset(10))


def test_a_log_that_shares_no_reign_keeps_nothing() -> None:
    stranger = hello(9, history((1, "x1", 1)))

    assert answer(stranger) == Admission(Plan.FULL_SYNC, Offset(0))


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        (hello(protocol_least=2, protocol_most=3), "version", "protocol 2 to 3"),
        (hello(protocol_least=0, protocol_most=0), "version", "upgrade"),
        (hello(cluster_id="other"), "cluster", "nothing was changed"),
        (hello(node_id="a"), "malformed", "own id a"),
        (hello(cluster_id="", epoch=3), "malformed", "history does not contain"),
        (hello(5, position=Position(Epoch(1), Offset(5))), "malformed", "1:5@"),
        (hello(12, TWO_REIGNS, epoch=1), "malformed", "in epoch 1"),
        (
            hello(5, history((2, "b2", 1), (1, "a1", 3))),
            "malformed",
            "history does not contain",
        ),
        (hello(5, epoch=3), "deposed", "epoch 3"),
        (hello(12, history((1, "a1", 1), (2, "c2", 11))), "split", "force one"),
        (hello(5, epoch=2, master_addr="b:1"), "split", "two masters"),
        (hello(5, master_addr="b:1"), "diverged", "ended"),
    ],
)
def test_who_does_not_belong_here_is_told_why(
    said: Hello, code: str, words: str
) -> None:
    found = answer(said)

    assert isinstance(found, Refusal)
    assert found.code == ErrorCode(code)
    assert words in found.message


def test_a_replica_that_has_heard_of_our_epoch_is_no_rival() -> None:
    assert answer(hello(12, TWO_REIGNS)) == Admission(Plan.STREAM, Offset(12))
    assert answer(hello(7, epoch=2)) == Admission(Plan.STREAM, Offset(7))


def test_a_misnamed_master_address_on_our_own_history_is_harmless() -> None:
    said = hello(12, TWO_REIGNS, master_addr="b:1")

    assert answer(said) == Admission(Plan.STREAM, Offset(12))


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        (hello(node_id="c"), "not_master", "b is a replica"),
        (hello(node_id="c", cluster_id=""), "not_master", "b is a replica"),
        (hello(node_id="c", cluster_id="x"), "cluster", "is of cluster x, this is"),
        (hello(), "malformed", "b has reached itself, or a copy of itself"),
    ],
)
def test_who_asks_a_node_that_is_no_master_is_told_why_it_cannot_follow(
    said: Hello, code: str, words: str
) -> None:
    refusal = turned_away(said, REPLICA_NODE)

    assert refusal.code == code
    assert words in refusal.message


def test_only_who_names_its_own_address_claims_to_be_master() -> None:
    assert claims_to_be_master(hello(master_addr="b:1"))
    assert not claims_to_be_master(hello(master_addr="a:1"))
    assert not claims_to_be_master(hello(address="", master_addr=""))


def test_a_history_whose_offsets_or_epochs_do_not_grow_is_not_one() -> None:
    assert well_formed(TWO_REIGNS)
    assert well_formed(ONE_REIGN)
    assert not well_formed(history((1, "a1", 1), (2, "b2", 1)))
    assert not well_formed(history((1, "a1", 1), (1, "b2", 5)))
