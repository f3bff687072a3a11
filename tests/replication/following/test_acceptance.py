import pytest

from nexus.errors import ProtocolError
from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, EpochHistory, Offset
from nexus.protocol.messages import Error, ErrorCode, Ping, Plan, Welcome
from nexus.replication.following.acceptance import (
    Acceptance,
    check_ping,
    looped,
    pointed_to,
    weighed,
)
from nexus.replication.following.incoming import Incoming
from nexus.replication.handshake.admission import Refusal
from nexus.replication.settings import RecoveredState
from replication.examples import ONE_REIGN, TWO_REIGNS, history, welcome


def log(end: int = 10, of: EpochHistory = ONE_REIGN) -> Incoming:
    return Incoming(RecoveredState(history=of, durable_offset=Offset(end)))


def answer(said: Welcome, own: Incoming, cluster: str = "cluster") -> object:
    return weighed(said, cluster, own.history.epoch, own)


def test_a_master_whose_log_goes_on_from_ours_is_followed() -> None:
    found = answer(welcome(10, 20, TWO_REIGNS), log(10))

    assert found == Acceptance(Plan.STREAM, Offset(10))


def test_an_empty_node_follows_any_cluster() -> None:
    empty = log(0, EpochHistory())

    assert answer(welcome(), empty, "") == Acceptance(Plan.STREAM, Offset(0))


def test_for_a_full_sync_the_replica_finds_the_fork_by_itself() -> None:
    said = welcome(3, 20, TWO_REIGNS, plan=Plan.FULL_SYNC)

    assert answer(said, log(14)) == Acceptance(Plan.FULL_SYNC, Offset(10))


def test_a_rewind_goes_back_to_where_both_histories_part() -> None:
    said = welcome(10, 20, TWO_REIGNS, plan=Plan.REWIND)

    assert answer(said, log(14)) == Acceptance(Plan.REWIND, Offset(10))


@pytest.mark.parametrize(
    ("said", "fork"),
    [
        (welcome(9, 20, TWO_REIGNS, plan=Plan.REWIND), 10),
        (welcome(11, 20, TWO_REIGNS, plan=Plan.REWIND), 10),
        (welcome(10, 20, history((2, "b2", 11)), plan=Plan.REWIND), 0),
        (welcome(0, 20, history((2, "b2", 1)), plan=Plan.REWIND), 0),
    ],
)
def test_a_rewind_to_where_this_side_sees_no_fork_is_a_full_sync(
    said: Welcome, fork: int
) -> None:
    assert answer(said, log(14)) == Acceptance(Plan.FULL_SYNC, Offset(fork))


@pytest.mark.parametrize(
    ("said", "own", "code"),
    [
        (welcome(10, cluster_id="other"), log(10), "cluster"),
        (welcome(5), log(12, TWO_REIGNS), "deposed"),
        (
            welcome(10, 20, history((1, "a1", 1), (2, "c2", 11)), plan=Plan.FULL_SYNC),
            log(12, TWO_REIGNS),
            "split",
        ),
        (welcome(9), log(10), "malformed"),
        (welcome(10, epoch=Epoch(9)), log(10), "malformed"),
        (welcome(10, 20, history((3, "x", 1), (4, "y", 1))), log(10), "malformed"),
        (welcome(10, 20, history((2, "b2", 1))), log(10), "malformed"),
        (welcome(10, page_size=1000), log(10), "malformed"),
        (welcome(10, encoding="utf-8'; drop table t"), log(10), "malformed"),
    ],
)
def test_a_welcome_that_would_cost_rows_is_refused(
    said: Welcome, own: Incoming, code: str
) -> None:
    found = answer(said, own)

    assert isinstance(found, Refusal)
    assert found.code == ErrorCode(code)


def test_a_welcome_without_a_cluster_is_nonsense() -> None:
    found = answer(welcome(cluster_id=""), log(0, EpochHistory()), "")

    assert isinstance(found, Refusal)
    assert found.code == ErrorCode.MALFORMED


def test_a_ping_of_another_reign_is_noticed() -> None:
    good = Ping(
        0, epoch=Epoch(1), cluster_id="cluster", history_id=ONE_REIGN.history_id
    )
    check_ping(good, welcome())

    with pytest.raises(ProtocolError, match="epoch 2"):
        check_ping(Ping(0, epoch=Epoch(2), cluster_id="cluster"), welcome())


@pytest.mark.parametrize(
    ("error", "address"),
    [
        (Error("not_master", "", Epoch(3), "c:1"), "c:1"),
        (Error("deposed", "", Epoch(4), "c:1"), "c:1"),
        (Error("not_master", "", Epoch(2), "c:1"), ""),
        (Error("cluster", "", Epoch(9), "c:1"), ""),
    ],
)
def test_only_a_node_that_knows_as_much_points_to_a_master(
    error: Error, address: str
) -> None:
    assert pointed_to(error, Epoch(3)) == address


def test_a_replica_that_follows_this_node_is_no_upstream() -> None:
    said = welcome(features=("cascade", "via=a,b,c"))

    refused = looped(said, NodeId("b"))

    assert refused == Refusal(
        ErrorCode.LOOP, "b would follow a follows b follows c: a loop"
    )
    assert looped(said, NodeId("d")) is None
