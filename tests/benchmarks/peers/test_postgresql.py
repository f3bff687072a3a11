"""PostgreSQL's figures hold only while its commits wait for a standby."""

from peers.postgresql import SYNCHRONOUS, WANTED, doubts

QUORUM = {"s1": "quorum", "s2": "quorum"}


def test_two_standbys_in_the_quorum_leave_no_doubt() -> None:
    assert doubts(QUORUM, WANTED) == ()


def test_an_asynchronous_or_a_missing_standby_is_a_doubt() -> None:
    assert doubts({"s1": "async"}, WANTED) == (
        "standby s1 is async, not quorum",
        "standby s2 is gone, not quorum",
    )


def test_a_setting_that_gives_durability_away_is_a_doubt() -> None:
    assert doubts(QUORUM, {**WANTED, "fsync": "off"}) == ("fsync is off, not on",)
    assert doubts(QUORUM, {**WANTED, "synchronous_standby_names": ""}) == (
        f"synchronous_standby_names is , not {SYNCHRONOUS}",
    )
