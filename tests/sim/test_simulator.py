"""Whatever befalls a cluster, no invariant breaks, and in the end all agree."""

import os
from collections.abc import Iterable
from dataclasses import replace

import pytest

from nexus.model.cluster import Mode
from nexus.replication.members.elected import ElectedMaster
from sim.disk import Disk
from sim.halts import halt
from sim.plan import (
    Fault,
    Plan,
    chain_of,
    early_plan_of,
    filled,
    forgetful,
    later_plan_of,
    plan_of,
    plan_of_absence,
    plan_of_homecoming,
    plan_with,
    restored,
    thinned,
)
from sim.planted import (
    a_full_disk_is_not_told,
    a_full_master_keeps_its_reign,
    a_full_voter_waits_for_room,
    a_full_witness_says_nothing,
)
from sim.regressions import CHAINS, EARLY, HOMECOMINGS, LATER, PAUSES
from sim.shrink import failure_of, shrunk
from sim.trouble import TROUBLE
from sim.world import STEPS_LEAST, World

RUNS = int(os.environ.get("SIM_RUNS", "200"))
BATCH = 25

OLD_COPIES = {
    104: "entries were committed before",
    779: "both reign in epoch 2",
    903: "holds another entry",
}
"""Seeds, and what they show of a voter that votes by an old copy of its directory."""

# The machines have tests of their own that cover them; here it would cost three
# times as much.
pytestmark = pytest.mark.no_cover


def told(seed: int) -> str:
    """What went wrong in a run, shrunk; empty if nothing did."""
    found = failure_of(plan_of(seed))
    if not found:
        return ""
    plan = shrunk(plan_of(seed))
    return f"seed {seed}: {found}\nshrunk:\n{plan}\n{failure_of(plan)}"


@pytest.mark.parametrize("first", range(0, RUNS, BATCH))
def test_no_invariant_breaks(first: int) -> None:
    for seed in range(first, first + BATCH):
        assert told(seed) == ""


@pytest.mark.parametrize("first", range(0, RUNS // 2, BATCH))
def test_no_invariant_breaks_where_replicas_follow_replicas(first: int) -> None:
    for seed in range(first, first + BATCH):
        assert failure_of(chain_of(seed)) == "", seed


@pytest.mark.parametrize("first", range(0, 50, BATCH))
def test_no_invariant_breaks_where_lines_drip_or_are_slow(first: int) -> None:
    for seed in range(first, first + BATCH):
        assert failure_of(thinned(plan_of(seed))) == "", seed


def test_parts_of_messages_do_come_over_thin_lines() -> None:
    worlds = [World(thinned(plan_of(seed))) for seed in range(5)]
    for world in worlds:
        world.run()

    nodes = [one for world in worlds for one in world.processes.values()]
    assert sum(one.hearing.parts for one in nodes) > 20


@pytest.mark.parametrize("first", range(0, 50, BATCH))
def test_no_invariant_breaks_where_masters_have_no_room(first: int) -> None:
    for seed in range(first, first + BATCH):
        assert failure_of(filled(plan_of(seed))) == "", seed


def committed_beside_a_full_disk() -> int:
    """How many entries are, while the disk of the one that reigned has no room."""
    fault = Fault(600, "fill master", (), 1_900)
    world = World(Plan(5, ("a", "b", "c"), clients=4, faults=(fault,)))
    seen: list[int] = []
    for at_ms in (1_300, 2_300):
        world.at(None, at_ms, lambda: seen.append(len(world.checkers.committed)))
    world.run()
    return seen[1] - seen[0]


def test_a_master_without_room_hands_over_and_the_writes_go_on() -> None:
    assert committed_beside_a_full_disk() > 10


def test_a_master_without_room_that_does_not_hand_over_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_full_master_keeps_its_reign(monkeypatch)

    assert committed_beside_a_full_disk() <= 1


def reigns_beside_a_full_voter() -> list[list[str]]:
    """Who takes writes before the master dies, while it is gone, and a while later."""
    full = Fault(600, "fill", ("a",), 2_000)
    gone = Fault(900, "crash master", (), 1_600)
    plan = Plan(5, ("a", "b", "c"), mode=Mode.ASYNC, clients=4, faults=(full, gone))
    world = World(plan)
    seen: list[list[str]] = []

    def look() -> None:
        seen.append([one.name for one in world.processes.values() if one.writer.open])

    for at_ms in (850, 1_700, 2_300):
        world.at(None, at_ms, look)
    world.run()
    return seen


def test_where_one_voters_disk_is_full_and_the_master_dies_the_third_one_reigns() -> (
    None
):
    assert reigns_beside_a_full_voter() == [["c"], ["b"], ["b"]]


def test_a_full_voter_whose_vote_waits_for_room_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_full_voter_waits_for_room(monkeypatch)

    assert reigns_beside_a_full_voter() == [["c"], [], []]


@pytest.mark.parametrize("seed", sorted(CHAINS))
def test_what_once_failed_in_a_chain_does_not_fail_again(seed: int) -> None:
    assert failure_of(chain_of(seed)) == "", CHAINS[seed]


def test_entries_do_pass_from_replica_to_replica() -> None:
    world = World(replace(chain_of(7), faults=(), stress_ms=1_200))
    seen: set[str] = set()

    def look() -> None:
        for name in ("x", "y", "z"):
            one = world.processes.get(name)
            replica = one.member.replica if one else None
            if replica is not None and replica.follows_replica and replica.safe:
                seen.add(name)
        world.at(None, world.time + 20, look)

    world.at(None, 20, look)
    world.run()

    assert seen == {"x", "y", "z"}


def test_replicas_come_home_and_a_ring_of_them_stays_open() -> None:
    homecomings = 0
    for plan in map(plan_of_homecoming, range(BATCH)):
        world = World(plan)
        world.run()
        homecomings += sum(one.homecoming.returns for one in world.processes.values())

    assert homecomings


def test_paused_replicas_store_and_count_and_show_nothing_new() -> None:
    world = World(Plan(5, ("a", "b", "c")))
    seen: list[tuple[int, list[int]]] = []

    def pause_replicas() -> None:
        for name, one in world.processes.items():
            if one.member.master is None:
                halt(world, Fault(600, "halt", (name,), 1_800))

    def look() -> None:
        held = [disk for disk in world.disks.values() if disk.chosen is not None]
        seen.append((len(world.checkers.committed), [one.applied for one in held]))

    world.at(None, 600, pause_replicas)
    for at_ms in (700, 2_300):
        world.at(None, at_ms, look)
    world.run()

    (before, shown), (after, shown_still) = seen
    assert len(shown) == 2
    assert shown == shown_still
    assert after > before


def test_a_master_whose_streams_are_paused_commits_nothing_until_they_go_on() -> None:
    fault = Fault(600, "halt master", (), 900)
    world = World(Plan(5, ("a", "b", "c"), faults=(fault,)))
    seen: list[int] = []
    for at_ms in (750, 1_400, 2_400):
        world.at(None, at_ms, lambda: seen.append(len(world.checkers.committed)))

    world.run()

    assert seen[0] == seen[1] < seen[2]


@pytest.mark.parametrize("seed", sorted(EARLY))
def test_what_failed_early_does_not_fail_again(seed: int) -> None:
    assert failure_of(early_plan_of(seed)) == "", EARLY[seed]


@pytest.mark.parametrize("seed", sorted(LATER))
def test_what_failed_later_does_not_fail_again(seed: int) -> None:
    assert failure_of(later_plan_of(seed)) == "", LATER[seed]


@pytest.mark.parametrize("seed", sorted(PAUSES))
def test_what_failed_with_an_operators_pause_does_not_fail_again(seed: int) -> None:
    assert failure_of(plan_of(seed)) == "", PAUSES[seed]


@pytest.mark.parametrize("seed", sorted(HOMECOMINGS))
def test_what_failed_in_a_homecoming_does_not_fail_again(seed: int) -> None:
    assert failure_of(plan_of_homecoming(seed)) == "", HOMECOMINGS[seed]


def test_a_seed_replays_its_run_exactly() -> None:
    def traced(seed: int) -> list[tuple[str, object]]:
        world = World(plan_of(seed))
        world.run()
        disks = [(name, disk.rows) for name, disk in world.disks.items()]
        seen = [(one.name, one.history) for one in world.clients]
        return [("steps", world.step), *disks, *seen]

    assert traced(17) == traced(17)


def test_a_run_is_long_and_busy() -> None:
    world = World(plan_of(3))

    world.run()

    assert world.step >= STEPS_LEAST
    assert len(world.checkers.committed) > 20
    assert any(not one.is_write for client in world.clients for one in client.history)


def of_forgetful(seeds: range) -> list[Plan]:
    """Plans in which a voter's disk loses what it had synced last."""
    return [plan for seed in seeds if (plan := forgetful(plan_of(seed)))]


@pytest.mark.parametrize("first", range(0, 120, 30))
def test_hard_case_12_a_disk_that_forgets_costs_nothing_acknowledged(
    first: int,
) -> None:
    plans = of_forgetful(range(first, first + 30))

    assert len(plans) > 10
    for plan in plans:
        assert failure_of(plan) == ""


def test_a_quorum_of_all_outlives_a_voter_that_votes_although_its_disk_forgot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Disk, "is_sound", True)

    plans = [plan for plan in of_forgetful(range(80)) if plan.mode is Mode.SYNC]

    assert len(plans) > 10
    for plan in plans:
        assert failure_of(replace(plan, sync_quorum=len(plan.voters))) == ""


def test_a_quorum_below_a_majority_keeps_all_but_what_it_gave_up() -> None:
    plans = [
        plan
        for plan in map(plan_of, range(40))
        if plan.mode is Mode.SYNC and len(plan.voters) > 2
    ]

    assert len(plans) > 10
    for plan in plans:
        assert failure_of(replace(plan, sync_quorum=1)) == ""


def test_hard_case_12_a_voter_that_votes_in_spite_of_it_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Disk, "is_sound", True)

    assert any(failure_of(plan) for plan in of_forgetful(range(200)))


def test_no_invariant_breaks_where_a_masters_disk_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nexus.replication.members.elected.LEAST_HANG_MS", 0)
    monkeypatch.setattr("nexus.replication.members.elected.HANG_DEAD_TIMES", 1)
    monkeypatch.setitem(TROUBLE, "slow disk", hangs)

    found: list[str] = []
    trouble = ElectedMaster.trouble

    def noted(master: ElectedMaster, now_ms: int) -> str:
        found.append(trouble(master, now_ms))
        return found[-1]

    monkeypatch.setattr(ElectedMaster, "trouble", noted)
    for seed in range(30):
        assert failure_of(plan_with("slow disk", seed)) == "", seed

    assert any("disk hangs" in one for one in found)


def hangs(world: World, fault: Fault) -> None:
    world.slow(fault.nodes[0], 1_500, 700)


def of_restored(seeds: Iterable[int]) -> list[Plan]:
    """The plans of these seeds, an old copy of a voter's directory put back in each."""
    return [plan for seed in seeds if (plan := restored(plan_of(seed)))]


@pytest.mark.parametrize("first", [100, 120])
def test_hard_case_3_an_old_copy_of_a_voter_costs_nothing_acknowledged(
    first: int,
) -> None:
    plans = of_restored(range(first, first + 20))

    assert len(plans) > 5
    for plan in plans:
        assert failure_of(plan) == ""


@pytest.mark.parametrize("seed", OLD_COPIES)
def test_hard_case_3_an_old_copy_that_votes_is_found(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(Disk, "is_sound", True)

    assert OLD_COPIES[seed] in "".join(map(failure_of, of_restored([seed])))


@pytest.mark.parametrize("first", range(0, 50, BATCH))
def test_hard_case_11_a_voter_may_be_away_for_long_while_the_witness_has_a_cap(
    first: int,
) -> None:
    for seed in range(first, first + BATCH):
        assert failure_of(plan_of_absence(seed)) == "", seed


def absent(*faults: Fault) -> World:
    """Two data nodes and a witness with a small cap; one is away for long."""
    away = Fault(500, "isolate", ("a",), 2_000)
    plan = Plan(5, ("a", "b", "w"), clients=4, faults=(away, *faults), hold=24)
    return World(plan)


def test_hard_case_11_a_full_witness_stops_the_writes_and_lives() -> None:
    world = absent()
    world.clients_act = True
    seen: list[tuple[bool, int]] = []

    def look() -> None:
        replica = world.processes["w"].member.replica
        assert replica is not None
        seen.append((replica.room.is_full, len(world.checkers.committed)))

    for at_ms in (1_800, 2_300):
        world.at(None, at_ms, look)
    world.run()

    (full, before), (full_still, after) = seen
    assert full
    assert full_still
    assert before == after


def refused_while_full() -> tuple[int, int]:
    """How many writes were refused, and logged, while the witness is full for long."""
    world = absent()
    world.clients_act = True
    seen: list[tuple[int, int]] = []

    def look() -> None:
        processes = world.processes.values()
        end = max(process.disk.end for process in processes)
        seen.append((sum(one.writer.turned_away for one in processes), end))

    for at_ms in (1_800, 2_300):
        world.at(None, at_ms, look)
    world.run()

    (refused, end), (refused_later, end_later) = seen
    return refused_later - refused, end_later - end


def test_hard_case_11_while_a_witness_is_full_new_writes_are_refused() -> None:
    refused, logged = refused_while_full()

    assert refused > 10
    assert logged == 0


def test_hard_case_11_a_witness_that_does_not_say_so_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_full_witness_says_nothing(monkeypatch)

    assert refused_while_full()[0] == 0


def refused_while_crowded() -> tuple[int, int]:
    """How many writes were refused, and how many logged, while no replica has room."""
    crowded = tuple(Fault(500, "fill", (name,), 2_000) for name in "ab")
    world = World(Plan(5, ("a", "b"), clients=4, faults=crowded))
    seen: list[tuple[int, int]] = []

    def look() -> None:
        processes = world.processes.values()
        end = max(process.disk.end for process in processes)
        seen.append((sum(one.writer.turned_away for one in processes), end))

    for at_ms in (1_000, 2_300):
        world.at(None, at_ms, look)
    world.run()

    (refused, end), (refused_later, end_later) = seen
    return refused_later - refused, end_later - end


def test_while_a_needed_replicas_disk_is_full_new_writes_are_refused() -> None:
    refused, logged = refused_while_crowded()

    assert refused > 10
    assert logged == 0


def test_a_replica_that_does_not_say_that_its_disk_is_full_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_full_disk_is_not_told(monkeypatch)

    assert refused_while_crowded()[0] == 0


def test_hard_case_11_a_full_witness_goes_on_once_the_voter_is_removed() -> None:
    world = absent(Fault(1_800, "part", ("a",), 1_000))
    seen: list[int] = []
    for at_ms in (1_700, 2_400):
        world.at(None, at_ms, lambda: seen.append(len(world.checkers.committed)))

    world.run()

    assert seen[1] > seen[0]
