"""Whatever befalls a cluster, no invariant breaks, and in the end all agree."""

import os

import pytest

from sim.plan import plan_of
from sim.regressions import REGRESSIONS
from sim.shrink import failure_of, shrunk
from sim.world import STEPS_LEAST, World

RUNS = int(os.environ.get("SIM_RUNS", "200"))
BATCH = 25


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


@pytest.mark.parametrize("seed", sorted(REGRESSIONS))
def test_what_failed_once_does_not_fail_again(seed: int) -> None:
    assert failure_of(plan_of(seed)) == "", REGRESSIONS[seed]


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
