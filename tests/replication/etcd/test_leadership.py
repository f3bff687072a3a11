"""A node's way to the leader key, stage by stage."""

from typing import Any

import pytest

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, Offset
from nexus.replication.effects import Report
from nexus.replication.etcd.effects import (
    ChangeList,
    EndReign,
    Follow,
    GrantLease,
    KeyEffects,
    Leave,
    ReadKeys,
    Reign,
    RenewLease,
    Require,
    RevokeLease,
    TakeKey,
)
from nexus.replication.etcd.keys import Keys, LeaderKey, SyncedKey
from nexus.replication.etcd.leadership import Leadership
from nexus.replication.etcd.stages import MOVES, LeadershipSettings, Stage
from nexus.replication.etcd.synced import FollowerView

A, B = NodeId("a"), NodeId("b")
LISTED = SyncedKey(nodes=(A, B), revision=5)
FREE = Keys(synced=LISTED)
LEASE = 77


def the(names: str) -> frozenset[NodeId]:
    return frozenset(NodeId(name) for name in names)


def leadership(epoch: int = 0, **changes: Any) -> Leadership:
    given = {
        "node_id": A,
        "ttl_s": 4,
        "dead_after_ms": 600,
        "poll_ms": 200,
        "quorum": 2,
        **changes,
    }
    return Leadership(LeadershipSettings(**given), Epoch(epoch))


def key(node: NodeId, revision: int, lease_id: int = LEASE) -> LeaderKey:
    return LeaderKey(
        node_id=node, address=f"{node}:1", lease_id=lease_id, revision=revision
    )


def seen(machine: Leadership, keys: Keys, now_ms: int = 0) -> KeyEffects:
    return machine.keys_seen(keys, now_ms, able=True)


def granted(machine: Leadership, lease_id: int = LEASE) -> KeyEffects:
    return machine.lease_granted(lease_id, ttl_ms=4_000, sent_ms=0, now_ms=10)


def on_its_way(**changes: Any) -> Leadership:
    machine = leadership(**changes)
    seen(machine, FREE)
    machine.left(Epoch(0))
    granted(machine)
    return machine


def reigning() -> Leadership:
    machine = on_its_way()
    machine.key_taken(key(A, 9), LISTED)
    return machine


def test_a_listed_node_takes_a_free_key_after_it_has_left_its_master() -> None:
    machine = leadership()

    assert machine.tick(0) == (ReadKeys(),)
    assert seen(machine, FREE) == (Leave(),)
    assert machine.tick(500) == (), "nothing is asked meanwhile"
    assert machine.left(Epoch(0)) == (GrantLease(4),)
    assert granted(machine) == (TakeKey(LEASE, LISTED),)
    assert machine.key_taken(key(A, 9), LISTED) == (Reign(Epoch(9), the("ab")),)
    assert machine.may_acknowledge(3_599)
    assert not machine.may_acknowledge(3_600)


@pytest.mark.parametrize(
    ("changes", "keys", "able"),
    [
        ({}, Keys(synced=SyncedKey(nodes=(B,), revision=5)), True),
        ({}, Keys(), True),
        ({"stands": False}, FREE, True),
        ({}, FREE, False),
    ],
)
def test_who_is_not_listed_not_whole_or_not_to_stand_leaves_the_key(
    changes: dict[str, Any], keys: Keys, able: object
) -> None:
    assert leadership(**changes).keys_seen(keys, 0, able=bool(able)) == ()


def test_an_operator_can_make_a_node_stand() -> None:
    machine = leadership(stands=False)
    machine.stand()

    assert seen(machine, FREE) == (Leave(),)


def test_a_founder_makes_the_list_with_its_epoch_as_the_base() -> None:
    machine = leadership(founds=True)
    assert seen(machine, Keys()) == (Leave(),)
    machine.left(Epoch(3_001))

    (take,) = granted(machine)

    assert take == TakeKey(LEASE, SyncedKey(nodes=(A,), epoch_base=Epoch(3_001)))
    listed = SyncedKey(nodes=(A,), epoch_base=Epoch(3_001), revision=2)
    (reign,) = machine.key_taken(key(A, 2), listed)
    assert reign == Reign(Epoch(3_003), the("a"))


def test_another_nodes_key_is_followed_once() -> None:
    machine = leadership()
    keys = Keys(leader=key(B, 7), synced=LISTED)

    assert seen(machine, keys) == (Follow("b:1"),)
    assert seen(machine, keys) == ()
    assert machine.keys == keys


def test_the_key_of_an_earlier_life_is_given_back() -> None:
    keys = Keys(leader=key(A, 7, lease_id=3), synced=LISTED)

    assert seen(leadership(), keys) == (RevokeLease(3),)


def test_who_comes_second_follows_the_first() -> None:
    machine = on_its_way()

    effects = machine.key_refused(Keys(leader=key(B, 8, lease_id=5), synced=LISTED))

    assert effects == (RevokeLease(LEASE), Follow("b:1"))
    assert machine.key_refused(FREE) == ()


def test_without_a_lease_it_follows_on() -> None:
    machine = leadership()
    seen(machine, FREE)
    machine.left(Epoch(0))

    report, follow = machine.not_granted("no answer")

    assert isinstance(report, Report)
    assert follow == Follow("")
    assert machine.not_granted("again") == ()
    assert granted(machine) == (RevokeLease(LEASE),)


def test_a_lease_that_came_too_late_is_not_used() -> None:
    machine = leadership()
    seen(machine, FREE)
    machine.left(Epoch(0))

    effects = machine.lease_granted(LEASE, ttl_ms=4_000, sent_ms=0, now_ms=3_700)

    assert effects[0] == RevokeLease(LEASE)
    assert machine.stage is Stage.FOLLOWS


def test_after_no_answer_reading_tells_whether_it_has_the_key() -> None:
    machine = on_its_way()
    machine.take_unanswered()
    assert machine.tick(11) == (ReadKeys(),)

    assert seen(machine, FREE) == (TakeKey(LEASE, LISTED),)
    effects = seen(machine, Keys(leader=key(A, 9), synced=LISTED))

    assert effects == (Reign(Epoch(9), the("ab")),)


def test_while_it_takes_the_key_another_may_have_it_or_the_list_change() -> None:
    other = Keys(leader=key(B, 9, lease_id=1), synced=LISTED)
    assert seen(on_its_way(), other)[-1] == Follow("b:1")
    unlisted = Keys(synced=SyncedKey(nodes=(B,), revision=6))
    assert seen(on_its_way(), unlisted) == (RevokeLease(LEASE), Follow(""))
    refused = Keys(leader=key(A, 9), synced=LISTED)
    assert isinstance(on_its_way().key_refused(refused)[0], Reign)


def test_a_read_before_the_lease_is_granted_decides_nothing() -> None:
    machine = leadership()
    seen(machine, FREE)
    machine.left(Epoch(0))

    assert seen(machine, FREE) == ()


@pytest.mark.parametrize(
    "newer",
    [
        Keys(synced=SyncedKey(nodes=(B,), revision=9)),
        Keys(leader=key(B, 9, 78), synced=LISTED),
    ],
    ids=["not listed any more", "another has the key"],
)
def test_hard_case_4_what_is_read_on_the_way_can_keep_a_node_from_the_key(
    newer: Keys,
) -> None:
    machine = leadership()
    seen(machine, FREE)
    machine.left(Epoch(0))
    seen(machine, newer)

    assert granted(machine)[0] == RevokeLease(LEASE)
    assert machine.stage is Stage.FOLLOWS


def test_an_answer_that_a_read_has_overtaken_gives_no_key_back() -> None:
    machine = on_its_way()
    seen(machine, Keys(leader=key(A, 9), synced=LISTED))

    assert machine.key_taken(key(A, 9), LISTED) == ()
    assert machine.may_acknowledge(100)


def test_without_an_answer_it_gives_up_when_the_lease_is_over() -> None:
    machine = on_its_way()

    assert machine.tick(3_600)[0] == RevokeLease(LEASE)
    assert machine.key_taken(key(A, 9), LISTED) == (RevokeLease(LEASE),)


def test_an_etcd_that_lost_data_makes_nobody_master() -> None:
    machine = on_its_way(epoch=9)

    revoke, report, follow = machine.key_taken(key(A, 9), LISTED)

    assert revoke == RevokeLease(LEASE)
    assert isinstance(report, Report)
    assert "lost data" in report.detail
    assert follow == Follow("")
    assert seen(machine, FREE, 3_599) == ()
    assert seen(machine, FREE, 3_600) == (Leave(),)


def test_the_lease_is_renewed_and_the_keys_are_read() -> None:
    machine = reigning()

    assert machine.tick(1_000) == (RenewLease(LEASE), ReadKeys())
    assert machine.lease_renewed(LEASE, ttl_ms=4_000, sent_ms=1_000) == ()
    assert machine.may_acknowledge(4_599)
    assert machine.tick(1_100) == ()
    machine.unread()
    assert machine.tick(1_199) == ()
    assert machine.tick(1_300) == (ReadKeys(),)


def test_a_renewal_without_an_answer_is_repeated() -> None:
    machine = reigning()
    machine.tick(1_000)

    assert machine.not_renewed() == ()

    assert machine.tick(1_010) == (RenewLease(LEASE),)


def test_who_cannot_renew_stops_before_the_lease_can_have_ended_for_others() -> None:
    machine = reigning()

    end, revoke = machine.tick(3_600)

    assert isinstance(end, EndReign)
    assert revoke == RevokeLease(LEASE)
    assert not machine.may_acknowledge(0)
    assert machine.reign_ended() == (Follow(""),)
    assert machine.tick(3_601) == (ReadKeys(),)


def test_a_lease_that_is_over_in_etcd_ends_the_reign() -> None:
    machine = reigning()

    assert machine.lease_renewed(5, ttl_ms=0, sent_ms=10) == (), "another's"
    assert isinstance(machine.lease_renewed(LEASE, ttl_ms=0, sent_ms=10)[0], EndReign)
    assert machine.lease_renewed(LEASE, ttl_ms=0, sent_ms=10) == ()


@pytest.mark.parametrize(
    "keys", [FREE, Keys(leader=key(A, 9)), Keys(leader=key(B, 10, 5), synced=LISTED)]
)
def test_who_finds_the_key_gone_ends_its_reign(keys: Keys) -> None:
    assert isinstance(seen(reigning(), keys)[0], EndReign)


def test_a_read_from_before_the_reign_says_nothing_of_it() -> None:
    machine = on_its_way()
    machine.take_unanswered()
    machine.tick(11)
    machine.key_taken(key(A, 9), LISTED)

    assert seen(machine, FREE) == ()
    assert seen(machine, Keys(leader=key(A, 9), synced=LISTED)) == ()


def follower(acked: int) -> FollowerView:
    return FollowerView(
        node_id=NodeId("c"),
        may_reign=True,
        streams=True,
        acked=Offset(acked),
        heard_ms=0,
    )


def told(machine: Leadership, *views: FollowerView) -> KeyEffects:
    return machine.followers(views, promised=Offset(7), durable=Offset(7), now_ms=0)


def test_who_is_to_be_listed_is_required_before_etcd_is_asked() -> None:
    machine = reigning()
    assert told(machine) == ()

    require, change = told(machine, follower(7))

    assert require == Require(the("abc"))
    assert change == ChangeList(key(A, 9), LISTED, (A, B, NodeId("c")))
    longer = SyncedKey(nodes=(A, B, NodeId("c")), revision=10)
    confirmed, report = machine.list_changed(key(A, 9), longer)
    assert confirmed == Require(the("abc"))
    assert isinstance(report, Report)
    assert machine.keys.synced == longer


def test_a_list_that_another_changed_counts_as_it_is() -> None:
    machine = reigning()
    told(machine, follower(7))
    shorter = Keys(leader=key(A, 9), synced=SyncedKey(nodes=(A,), revision=8))

    assert machine.list_refused(key(A, 9), shorter) == (), "seen, and asked anew"
    assert told(machine) == ()
    again = Keys(leader=key(A, 9), synced=SyncedKey(nodes=(A, B), revision=9))
    assert seen(machine, again) == (Require(the("ab")),)


def test_a_refusal_can_show_that_the_key_is_gone() -> None:
    machine = reigning()
    told(machine, follower(7))

    assert isinstance(machine.list_refused(key(A, 9), Keys())[0], EndReign)


def test_a_change_without_an_answer_leaves_nobody_out() -> None:
    machine = reigning()
    told(machine, follower(7))

    machine.change_unanswered(key(A, 9))

    assert machine.synced is not None
    assert machine.synced.required == the("abc")


def test_answers_of_another_reign_change_nothing() -> None:
    machine, other = reigning(), key(A, 3)
    told(machine, follower(7))

    assert machine.list_changed(other, LISTED) == ()
    assert machine.list_refused(other, FREE) == ()
    machine.change_unanswered(other)
    assert told(machine, follower(7)) == (), "its own is still under way"
    assert told(leadership()) == ()


def handed_over() -> Leadership:
    """It reigned, and gave the key up for b at 1,000."""
    machine = reigning()
    assert machine.synced is not None
    machine.synced.leave_to(B)
    view = FollowerView(
        node_id=B, may_reign=True, streams=True, acked=Offset(9), heard_ms=1_000
    )
    effects = machine.followers(
        (view,), promised=Offset(9), durable=Offset(9), now_ms=1_000
    )
    marked = ChangeList(key(A, 9), LISTED, (A, B), Epoch(9))
    assert effects == (Require(the("ab")), marked)
    told = SyncedKey(nodes=(A, B), handed_over=Epoch(9), revision=10)
    machine.list_changed(key(A, 9), told)
    effects = machine.followers(
        (view,), promised=Offset(9), durable=Offset(9), now_ms=1_000
    )
    assert effects == (EndReign(Epoch(9), "b takes over"), RevokeLease(LEASE))
    machine.reign_ended()
    return machine


def test_who_takes_a_key_that_was_left_to_it_knows_whose_reign_was_handed_over() -> (
    None
):
    left = SyncedKey(nodes=(A, B), handed_over=Epoch(5), revision=6)
    machine = on_its_way()

    assert machine.key_taken(key(A, 9), left) == (Reign(Epoch(9), the("ab"), Epoch(5)),)


def test_who_hands_over_leaves_the_key_to_the_heir_and_follows_it() -> None:
    machine = handed_over()

    assert not machine.may_acknowledge(1_000)
    assert seen(machine, FREE, 1_500) == ()
    heir = Keys(leader=key(B, 12, 78), synced=LISTED)
    assert seen(machine, heir, 1_600) == (Follow("b:1"),)
    assert seen(machine, FREE, 60_000) == (Leave(),), "as any node of the list"


def test_who_hands_over_comes_back_if_the_heir_does_not_even_if_told_not_to_stand() -> (
    None
):
    machine = handed_over()
    rests = Keys(synced=LISTED, rests=True)

    assert seen(machine, rests, 4_999) == ()
    assert seen(machine, rests, 5_000) == (Leave(),)


def test_a_reign_that_the_disk_refuses_is_left_to_others() -> None:
    machine = reigning()

    effects = machine.reign_failed("no space", 100)

    assert effects[0] == RevokeLease(LEASE)
    assert effects[-1] == Follow("")
    assert seen(machine, FREE, 699) == ()
    assert seen(machine, FREE, 700) == (Leave(),)


def test_a_reign_that_has_ended_already_cannot_fail() -> None:
    machine = reigning()
    machine.deposed("a higher epoch")

    assert machine.deposed("again") == ()
    assert machine.reign_failed("no space", 100) == ()


def test_a_node_that_stops_gives_its_lease_back() -> None:
    assert reigning().stopped() == (RevokeLease(LEASE),)
    assert leadership().stopped() == ()


def test_the_former_master_need_not_be_waited_for() -> None:
    machine = leadership()
    seen(machine, Keys(leader=key(B, 7, lease_id=1), synced=LISTED))
    seen(machine, FREE)
    machine.left(Epoch(0))
    granted(machine)
    machine.key_taken(key(A, 9), LISTED)

    assert told(machine, follower(7))[1] == ChangeList(
        key(A, 9), LISTED, (A, NodeId("c"))
    )


def test_no_move_is_possible_but_those_in_the_table() -> None:
    assert set(MOVES) == set(Stage)
    with pytest.raises(AssertionError, match="no move: follows to granted"):
        leadership().left(Epoch(0))


def test_in_maintenance_only_whom_an_operator_asked_takes_a_free_key() -> None:
    resting = Keys(synced=LISTED, rests=True)
    machine = leadership()

    assert seen(machine, resting) == ()
    machine.stand()
    assert seen(machine, resting) == (Leave(),)
