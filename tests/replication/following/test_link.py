import pytest

from nexus.model.cluster import LinkState
from nexus.protocol.messages import ErrorCode, Pong
from nexus.replication.effects import Connect, Disconnect, Send
from nexus.replication.following.link import MOVES, SIGN_BYTES, Link
from nexus.replication.settings import ReplicaSettings

SETTINGS = ReplicaSettings(addresses=("a", "b"), heartbeat_ms=1_000)


def link() -> Link:
    return Link(SETTINGS, lambda: 0.0)


def welcomed(heartbeat_ms: int = 1_000) -> Link:
    one = link()
    one.started()
    one.connected(0)
    one.welcomed(heartbeat_ms, 0)
    one.begins_streaming(paused=False)
    return one


def test_every_move_leads_to_a_state_that_has_moves_of_its_own() -> None:
    for targets in MOVES.values():
        assert targets <= set(MOVES)


def test_a_move_that_the_table_does_not_have_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="no move: stopped to full_sync"):
        link().begins_full_sync()


def test_the_welcome_must_come_within_the_connect_timeout() -> None:
    one = link()
    one.started()
    assert one.overdue(99_999) == ""
    one.connected(1_000)

    assert one.awaits_welcome
    assert one.overdue(11_000) == ""
    assert "Hello" in one.overdue(11_001)


def test_the_slower_of_both_heartbeats_decides_when_the_master_is_dead() -> None:
    assert "3001 ms" in welcomed().overdue(3_001)
    assert welcomed(heartbeat_ms=2_000).overdue(6_000) == ""
    assert "6001 ms" in welcomed(heartbeat_ms=2_000).overdue(6_001)


def test_a_message_that_grows_is_a_sign_of_life_with_each_so_many_bytes_of_it() -> None:
    one = welcomed()

    for now_ms in range(2_000, 20_000, 2_000):
        one.grows(SIGN_BYTES - 1, now_ms - 1_000)
        one.grows(1, now_ms)

    assert one.overdue(21_000) == ""
    assert "3001 ms" in one.overdue(21_001)


def test_a_line_that_drips_is_dead_for_all_its_bytes() -> None:
    one = welcomed()

    one.grows(SIGN_BYTES - 1, 2_000)
    one.heard(2_500)
    one.grows(SIGN_BYTES - 1, 5_500)

    assert one.overdue(5_500) == ""
    assert "3001 ms" in one.overdue(5_501)


def test_what_has_come_on_one_connection_says_nothing_of_the_next() -> None:
    one = welcomed()
    one.grows(SIGN_BYTES - 1, 2_000)
    one.given_up("it broke")
    one.started()
    one.connected(4_000)
    one.welcomed(1_000, 4_000)
    one.begins_streaming(paused=False)

    one.grows(1, 6_000)

    assert "3001 ms" in one.overdue(7_001)


def test_a_heartbeat_is_due_after_silence_on_this_side() -> None:
    one = welcomed()
    assert one.heartbeat_due(1_000)

    assert isinstance(one.say(Pong(0), 1_000), Send)

    assert not one.heartbeat_due(1_999)
    assert not link().heartbeat_due(9_999)


def test_a_lost_connection_is_followed_by_the_next_try() -> None:
    one = welcomed()

    effects = one.given_up("too odd", ErrorCode.MALFORMED)

    assert effects == (
        Disconnect("too odd", ErrorCode.MALFORMED),
        Connect("b", 1_000),
    )
    assert one.state is LinkState.RECONNECTING
    assert (one.last_error, one.reconnects) == ("too odd", 1)
    assert one.broken("nobody there") == (Connect("a", 2_000),)
    assert one.reconnects == 1


def test_a_good_connection_resets_the_delay_and_the_error() -> None:
    one = welcomed()
    one.broken("first")
    one.broken("second")
    one.connected(0)

    one.welcomed(1_000, 0)
    one.begins_streaming(paused=True)

    assert one.last_error == ""
    assert one.state is LinkState.PAUSED
    assert one.broken("third") == (Connect("b", 1_000),)


def test_a_stopped_link_asks_for_nothing() -> None:
    one = welcomed()

    assert one.stopped() == (Disconnect("this replica stops", ErrorCode.STOPPING),)
    assert one.stopped() == ()
    assert one.broken("late news") == ()


def test_no_connection_is_asked_for_while_a_snapshot_is_installed() -> None:
    one = welcomed()
    one.awaits_disk = True

    assert one.broken("lost") == ()
    assert one.disk_done("") == (Connect("a", 0),)
    assert one.disk_done("") == ()


def test_a_failed_install_waits_like_any_failure() -> None:
    one = welcomed()
    one.awaits_disk = True
    one.broken("lost")

    assert one.disk_done("bad archive") == (Connect("b", 1_000),)


def test_streaming_for_long_is_steady() -> None:
    assert not welcomed().is_steady(59_999)
    assert welcomed().is_steady(60_000)
    assert not link().is_steady(60_000)
