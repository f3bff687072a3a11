"""Whom a client asks: the master where there is one, and nobody too often."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from nexus.client.routing import (
    LONGEST_PAUSE_MS,
    NO_MASTER_PAUSE_MS,
    Purpose,
    Routing,
    Try,
    Wait,
)
from nexus.client.target import ReadFrom

NODES = ("a:1", "b:1", "c:1")
WRITE, READ = Purpose.WRITE, Purpose.READ


def routing(read: ReadFrom = ReadFrom.MASTER) -> Routing:
    return Routing(NODES, read)


def met(machine: Routing, address: str, master: str, *, round_trip_us: int = 9) -> None:
    """The client has attached to this node, which named that master."""
    machine.attached(
        address,
        is_master=address == master,
        master_addr=master,
        round_trip_us=round_trip_us,
    )


def test_nodes_are_asked_one_after_another_until_one_answers() -> None:
    machine = routing()

    asked = []
    for _ in NODES:
        step = machine.next(WRITE, 0)
        assert isinstance(step, Try)
        asked.append(step.address)
        machine.failed(step.address, 0)

    assert sorted(asked) == sorted(NODES)
    assert isinstance(machine.next(WRITE, 0), Wait)


def test_a_master_is_cut_off_once_it_was_not_reached_for_a_second() -> None:
    machine = routing()
    met(machine, "a:1", "c:1")
    assert not machine.is_cut_off(0)
    assert machine.next(WRITE, 0) == Try("c:1")
    machine.failed("c:1", 900)
    assert not machine.is_cut_off(900)  # nobody says any more who the master is
    met(machine, "a:1", "c:1")

    assert not machine.is_cut_off(999)
    assert machine.is_cut_off(1000)
    met(machine, "c:1", "c:1")
    assert not machine.is_cut_off(1000)


def test_how_long_a_node_is_out_of_reach_counts_from_its_first_failure() -> None:
    machine = routing()
    machine.failed("c:1", 5000)
    machine.failed("c:1", 5900)
    met(machine, "a:1", "c:1")

    assert not machine.is_cut_off(5999)
    assert machine.is_cut_off(6000)


def test_a_replica_that_names_the_master_leads_to_it() -> None:
    machine = routing()
    met(machine, "a:1", "c:1")

    assert not machine.suits("a:1", WRITE)
    assert machine.next(WRITE, 0) == Try("c:1")
    met(machine, "c:1", "c:1")
    assert machine.suits("c:1", WRITE)
    assert machine.master == "c:1"


def test_a_master_that_nobody_listed_is_found_too() -> None:
    machine = routing()
    met(machine, "a:1", "elsewhere:9")

    assert machine.next(WRITE, 0) == Try("elsewhere:9")
    assert machine.addresses == (*NODES, "elsewhere:9")


def test_a_master_that_is_gone_gives_way_to_the_others() -> None:
    machine = routing()
    met(machine, "a:1", "a:1")
    machine.failed("a:1", 0)

    step = machine.next(WRITE, 0)

    assert isinstance(step, Try)
    assert step.address != "a:1"
    assert machine.master == ""


def test_a_node_that_is_no_master_just_now_is_asked_again_soon() -> None:
    machine = Routing(("a:1",), ReadFrom.MASTER)
    met(machine, "a:1", "")
    machine.no_master("a:1", 0)

    assert machine.next(WRITE, 0) == Wait(NO_MASTER_PAUSE_MS)
    assert machine.next(WRITE, NO_MASTER_PAUSE_MS) == Try("a:1")


def test_a_dead_node_is_asked_less_and_less_often() -> None:
    machine = Routing(("a:1",), ReadFrom.MASTER)
    pauses, now_ms = [], 0
    for _ in range(10):
        machine.failed("a:1", now_ms)
        step = machine.next(WRITE, now_ms)
        assert isinstance(step, Wait)
        pauses.append(step.until_ms - now_ms)
        now_ms = step.until_ms

    assert pauses == sorted(pauses)
    assert pauses[0] == 20
    assert pauses[-1] == LONGEST_PAUSE_MS


def test_queries_go_to_replicas_where_that_is_wanted() -> None:
    machine = routing(ReadFrom.REPLICA)
    met(machine, "a:1", "a:1")

    step = machine.next(READ, 0)

    assert isinstance(step, Try)
    assert step.address != "a:1"
    machine.failed("b:1", 0)
    machine.failed("c:1", 0)
    assert machine.next(READ, 0) == Try("a:1")
    assert machine.unmeasured() == ()


def test_queries_go_to_the_nearest_where_that_is_wanted() -> None:
    machine = routing(ReadFrom.NEAREST)
    assert machine.unmeasured() == NODES
    met(machine, "a:1", "a:1", round_trip_us=900)
    met(machine, "b:1", "a:1", round_trip_us=50)
    machine.failed("c:1", 0)
    assert machine.unmeasured() == ()

    assert machine.next(READ, 0) == Try("b:1")
    assert machine.suits("b:1", READ)
    assert machine.next(WRITE, 0) == Try("a:1")


def test_a_node_that_is_behind_is_left_alone_for_a_while() -> None:
    machine = routing(ReadFrom.REPLICA)
    met(machine, "a:1", "a:1")
    machine.behind("b:1", 0)

    assert machine.next(READ, 0) == Try("c:1")


def drive(master_at: Callable[[int], str], alive: Callable[[str, int], bool]) -> int:
    """Look for the master of a cluster that changes; when it was found, at last."""
    machine = routing()
    now_ms = 0
    while now_ms < 60_000:
        step = machine.next(WRITE, now_ms)
        if isinstance(step, Wait):
            assert step.until_ms > now_ms
            now_ms = step.until_ms
            continue
        now_ms += 1
        if not alive(step.address, now_ms):
            machine.failed(step.address, now_ms)
            continue
        met(machine, step.address, master_at(now_ms))
        if machine.suits(step.address, WRITE):
            return now_ms
        machine.no_master(step.address, now_ms)
    raise AssertionError("it was never found")


@given(
    st.sampled_from(NODES),
    st.integers(0, 20_000),
    st.sets(st.sampled_from(NODES), max_size=2),
)
def test_the_master_is_found_soon_after_there_is_one(
    master: str, elected_ms: int, dead: set[str]
) -> None:
    found_ms = drive(
        lambda now_ms: master if now_ms >= elected_ms else "",
        lambda address, _: address not in dead - {master},
    )

    assert found_ms <= elected_ms + LONGEST_PAUSE_MS


@given(st.sampled_from(NODES), st.integers(0, 20_000))
def test_a_master_that_comes_back_is_found_soon(master: str, back_ms: int) -> None:
    found_ms = drive(
        lambda _: master,
        lambda address, now_ms: address != master or now_ms >= back_ms,
    )

    assert found_ms <= back_ms + LONGEST_PAUSE_MS + 10
