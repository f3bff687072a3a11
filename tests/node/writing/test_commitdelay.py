"""A batch waits for those who were just answered, and for nobody else."""

import pytest

from nexus.node.writing.commitdelay import GATHER_LIMIT_S, GATHER_STEP_S, CommitDelay


class Moments:
    """A clock that moves only while somebody sleeps; one client comes at each step."""

    def __init__(self, *, present: int, most: int) -> None:
        self.now_s = 0.0
        self.here = present
        self.most = most

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.here = min(self.here + 1, self.most)

    def present(self) -> int:
        return self.here


def gathered(moments: Moments, *, clients: int, took_s: float) -> None:
    delay = CommitDelay(moments.clock, moments.sleep)
    delay.expect(clients, took_s)
    delay.gather(moments.present)


def test_the_first_batch_waits_for_nobody() -> None:
    moments = Moments(present=1, most=64)

    CommitDelay(moments.clock, moments.sleep).gather(moments.present)

    assert moments.now_s == 0


def test_a_client_alone_never_waits() -> None:
    moments = Moments(present=1, most=1)

    gathered(moments, clients=1, took_s=1.0)

    assert moments.now_s == 0


def test_a_batch_waits_until_those_of_the_last_one_are_there_again() -> None:
    moments = Moments(present=2, most=64)

    gathered(moments, clients=5, took_s=1.0)

    assert moments.here == 5
    assert moments.now_s == pytest.approx(3 * GATHER_STEP_S)


@pytest.mark.parametrize(
    ("took_s", "at_most_s"), [(0.001, 0.0005), (10.0, GATHER_LIMIT_S)]
)
def test_who_does_not_come_back_costs_a_share_of_the_last_batch(
    took_s: float, at_most_s: float
) -> None:
    moments = Moments(present=1, most=1)

    gathered(moments, clients=2, took_s=took_s)

    assert at_most_s <= moments.now_s < at_most_s + 2 * GATHER_STEP_S
