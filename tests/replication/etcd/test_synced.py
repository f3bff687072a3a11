"""Which list of synced nodes a master asks etcd for, and who must hold an entry."""

import pytest

from nexus.errors import WrongRoleError
from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, Offset
from nexus.replication.etcd.keys import SyncedKey
from nexus.replication.etcd.synced import FollowerView, SyncedNodes

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")
DEAD_AFTER_MS = 600
EPOCH = Epoch(9)


def nodes(*listed: NodeId, quorum: int = 2) -> SyncedNodes:
    return SyncedNodes(
        A,
        SyncedKey(nodes=listed, revision=5),
        epoch=EPOCH,
        quorum=quorum,
        dead_after_ms=DEAD_AFTER_MS,
        began_ms=1_000,
    )


def view(node: NodeId, acked: int, **changes: object) -> FollowerView:
    given: dict[str, object] = {
        "may_reign": True,
        "streams": True,
        "heard_ms": 1_000_000,
        **changes,
    }
    return FollowerView(node_id=node, acked=Offset(acked), **given)  # type: ignore[arg-type]  # of several types


def asked(
    synced: SyncedNodes, *views: FollowerView, now_ms: int = 1_000, durable: int = 9
) -> set[NodeId] | None:
    wanted = synced.ask(
        views, promised=Offset(7), durable=Offset(durable), now_ms=now_ms
    )
    return None if wanted is None else set(wanted)


def test_a_node_that_holds_all_that_was_acknowledged_enters_the_list() -> None:
    synced = nodes(A)

    assert asked(synced, view(B, 7), view(C, 6)) == {A, B}


def test_from_the_request_on_an_entry_waits_for_who_is_asked_for() -> None:
    synced = nodes(A)

    asked(synced, view(B, 7))

    assert synced.required == {A, B}
    assert asked(synced, view(C, 9)) is None, "one request at a time"


def test_an_heir_is_left_alone_in_the_list_once_etcd_has_confirmed_it() -> None:
    synced = nodes(A, B, C)
    with pytest.raises(WrongRoleError, match="in etcd's list: b, c"):
        synced.leave_to(NodeId("x"))

    synced.leave_to(B)
    wanted = asked(synced, view(B, 9), view(C, 9))
    waits = synced.is_left
    synced.changed(SyncedKey(nodes=(A, B), handed_over=EPOCH, revision=6))

    assert wanted == {A, B}
    assert not waits
    assert {synced.is_left} == {True}
    assert asked(synced, view(B, 9), view(C, 9)) is None
    synced.keep()
    assert not synced.is_left
    assert asked(synced, view(B, 9), view(C, 9)) == {A, B, C}


def test_of_two_nodes_too_the_list_says_that_the_reign_ends_in_a_switchover() -> None:
    synced = nodes(A, B)
    assert (asked(synced, view(B, 9)), synced.handed_over) == (None, 0)

    synced.leave_to(B)

    assert not synced.is_left
    assert (asked(synced, view(B, 9)), synced.handed_over) == ({A, B}, EPOCH)


def test_what_the_list_says_of_an_earlier_switchover_is_taken_back() -> None:
    synced = nodes(A, B)
    earlier = Epoch(EPOCH - 1)
    synced.changed(SyncedKey(nodes=(A, B), handed_over=earlier, revision=6))

    assert (asked(synced, view(B, 9)), synced.handed_over) == ({A, B}, 0)


def test_an_heir_that_has_left_the_list_is_none() -> None:
    synced = nodes(A, B, C)
    synced.leave_to(B)

    synced.seen(SyncedKey(nodes=(A, C), revision=6))

    assert asked(synced, view(B, 3), view(C, 9)) == {A}
    synced.changed(SyncedKey(nodes=(A,), revision=7))
    assert not synced.is_left


def test_a_read_replica_and_one_that_does_not_stream_never_enter() -> None:
    synced = nodes(A)

    assert asked(synced, view(B, 9, may_reign=False)) is None
    assert asked(synced, view(B, 9, streams=False)) is None
    assert asked(synced, view(B, 9, heard_ms=300), now_ms=1_000) is None


def test_a_node_that_is_gone_for_a_dead_time_is_taken_out_where_others_suffice() -> (
    None
):
    synced = nodes(A, B, C)

    assert asked(synced, view(B, 9), now_ms=1_600) is None
    assert asked(synced, view(B, 9), now_ms=1_601) == {A, B}
    assert synced.required == {A, B, C}, "until etcd has confirmed"

    synced.changed(SyncedKey(nodes=(A, B), revision=6))
    assert synced.required == {A, B}


def test_where_too_few_are_left_to_acknowledge_nobody_is_taken_out() -> None:
    synced = nodes(A, B, C)

    assert asked(synced, now_ms=9_000) is None
    assert asked(nodes(A, B, quorum=1), now_ms=9_000) == {A}


def test_the_former_master_is_not_waited_for() -> None:
    synced = nodes(A, B, C)
    synced.presume_dead(C)

    assert asked(synced, view(B, 9)) == {A, B}


def test_a_node_that_falls_behind_for_a_dead_time_counts_as_gone() -> None:
    synced = nodes(A, B, C)
    asked(synced, view(B, 9), view(C, 8), now_ms=1_000)

    moved = asked(synced, view(B, 9), view(C, 9), now_ms=1_500, durable=10)
    slow = asked(synced, view(B, 12), view(C, 9), now_ms=2_200, durable=12)

    assert moved is None
    assert slow == {A, B}


def test_after_a_request_without_an_answer_both_lists_count_until_it_has_changed() -> (
    None
):
    synced = nodes(A)
    asked(synced, view(B, 9))
    synced.unanswered()

    assert synced.required == {A, B}
    assert asked(synced, view(C, 9)) == {A, C}, "asked anew: it makes the old one void"
    assert synced.required == {A, B, C}
    synced.changed(SyncedKey(nodes=(A, C), revision=7))
    assert synced.required == {A, C}


def test_a_doubtful_list_is_settled_by_one_that_is_the_same() -> None:
    synced = nodes(A, B)
    asked(synced, view(B, 9), view(C, 9))
    synced.unanswered()

    assert asked(synced, view(B, 9)) == {A, B}
    assert asked(synced, view(B, 9)) is None


def test_what_was_read_counts_if_it_is_newer() -> None:
    synced = nodes(A, B)
    synced.seen(SyncedKey(nodes=(A,), revision=4))
    assert synced.required == {A, B}

    synced.refused(SyncedKey(nodes=(A, C), revision=6))
    assert synced.required == {A, C}
