"""A replica that shall not use the whole line."""

import pytest

from nexus.config import Config
from nexus.node.network import pacing
from nexus.node.network.pacing import paced
from nexus.node.network.security import TransportSecurity
from node.builders import DEAD_TIME_S, Crowd, caught_up, run
from node.roles.test_following import duty_of

RATE = 65_536
ROWS = 40
FILL = "insert into t(v) values (hex(randomblob(10000)))"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses in seconds, which last no time; the clock goes on by them alone."""
    found: list[float] = []

    async def counted(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(pacing, "sleep", counted)
    monkeypatch.setattr(pacing, "now_ms", lambda: round(1_000 * sum(found)))
    return found


async def test_what_is_received_takes_as_long_as_the_rate_says(
    crowd: Crowd, waits: list[float]
) -> None:
    master = await crowd.node("master")
    await run(master, "create table t(id integer primary key, v text)")
    last = await run(master, FILL)
    for _ in range(ROWS):
        last = await run(master, FILL)

    replica = await crowd.replica("slow", master, replication__max_receive_rate=RATE)
    await caught_up(replica, last)

    received = duty_of(replica).stats().bytes_received
    assert received > ROWS * 10_000
    assert sum(waits) >= received / RATE - 0.3


async def test_no_pause_is_as_long_as_a_master_may_be_silent(
    crowd: Crowd, waits: list[float]
) -> None:
    master = await crowd.node("master")
    await run(master, "create table t(id integer primary key, v text)")
    last = await run(master, "insert into t(v) values (hex(randomblob(1000000)))")

    replica = await crowd.replica("slow", master, replication__max_receive_rate=RATE)
    await caught_up(replica, last)

    assert sum(waits) > DEAD_TIME_S
    assert max(waits) < DEAD_TIME_S / 4


def test_without_a_rate_nothing_stands_between() -> None:
    security = TransportSecurity("secret")

    assert paced(security, Config()) is security
