"""Run the transcripts of tests/scenarios: one line, one verb (see README there)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replication.world import World

SCENARIOS = Path(__file__).parents[1] / "scenarios"


def follow(world: World, name: str, *addresses: str) -> None:
    world.follow(name, addresses)


def reign(world: World, name: str, *options: str) -> None:
    given = dict(option.split("=") for option in options)
    world.reign(name, **{key: int(value) for key, value in given.items()})


def write(world: World, name: str, count: str) -> None:
    world.write(name, int(count))


def deliver(world: World, most: str = "100000") -> None:
    world.deliver(int(most))


def drop(world: World, name: str) -> None:
    world.drop_all_of(name)


def crash(world: World, name: str) -> None:
    world.crash(name)


def tick(world: World, duration_ms: str) -> None:
    world.tick(int(duration_ms))


def trim(world: World, name: str, first_offset: str) -> None:
    world.trim(name, int(first_offset))


def announce(world: World, name: str, other: str) -> None:
    world.announce(name, other)


def schema(world: World, name: str) -> None:
    world.nodes[name].can_rewind = False


def lose(world: World, name: str, count: str) -> None:
    world.lose(name, int(count))


def pause(world: World, name: str) -> None:
    node = world.nodes[name]
    machine = node.replica or node.master
    assert machine is not None
    world.perform(node, machine.pause())


def resume(world: World, name: str) -> None:
    node = world.nodes[name]
    if node.replica is not None:
        world.perform(node, node.replica.resume(world.now_ms))
    if node.master is not None:
        world.perform(node, node.master.resume(None, world.now_ms))


def saw(world: World, name: str, *effects: str) -> None:
    """These effects, by the names of their classes, in this order; then forget all."""
    node = world.nodes[name]
    left = iter(type(effect).__name__ for effect in node.seen)
    for wanted in effects:
        if wanted.startswith("no-"):
            assert wanted[3:] not in list(left), f"{name} saw {wanted[3:]}"
        else:
            assert wanted in left, f"{name} saw no {wanted} (in this order)"
    node.seen.clear()


def expect(world: World, name: str, *claims: str) -> None:
    for claim in claims:
        key, _, wanted = claim.partition("=")
        found = FACTS[key](world, name)
        due = world.nodes[wanted].rows if key == "rows" else wanted
        assert str(found) == str(due), f"{name}: {key} is {found}, not {due}"


def of_replica(key: str) -> Callable[[World, str], Any]:
    def fact(world: World, name: str) -> Any:
        machine = world.nodes[name].replica
        assert machine is not None
        value = getattr(machine, key)
        return value(world.now_ms) if callable(value) else value

    return fact


def error_code(world: World, name: str) -> str:
    machine = world.nodes[name].replica
    assert machine is not None
    return machine.last_error.partition(":")[0].replace(" ", "_")


def commit(world: World, name: str) -> int:
    machine = world.nodes[name].replica or world.nodes[name].master
    assert machine is not None
    return machine.commit_offset


def floor(world: World, name: str) -> int:
    machine = world.nodes[name].master
    assert machine is not None
    return machine.retention_floor()


FACTS: dict[str, Callable[[World, str], Any]] = {
    "state": of_replica("state"),
    "lag": of_replica("lag"),
    "following": of_replica("master_addr"),
    "error": error_code,
    "commit": commit,
    "floor": floor,
    "applied": lambda world, name: world.nodes[name].applied,
    "durable": lambda world, name: world.nodes[name].end,
    "rows": lambda world, name: world.nodes[name].rows,
    "exported": lambda world, name: len(world.nodes[name].exported),
    "epoch": lambda world, name: world.nodes[name].epoch,
    "cluster": lambda world, name: world.nodes[name].cluster_id,
}

VERBS: dict[str, Callable[..., None]] = {
    verb.__name__: verb
    for verb in (
        reign,
        follow,
        write,
        deliver,
        drop,
        crash,
        tick,
        pause,
        resume,
        trim,
        announce,
        schema,
        lose,
        saw,
        expect,
    )
}


@pytest.mark.parametrize(
    "scenario", sorted(SCENARIOS.glob("*.txt")), ids=lambda path: path.stem
)
def test_a_scenario_goes_as_it_is_written(scenario: Path) -> None:
    world = World()

    for number, line in enumerate(scenario.read_text().splitlines(), start=1):
        verb, *words = line.partition("#")[0].split() or [""]
        if not verb:
            continue
        try:
            VERBS[verb](world, *words)
        except AssertionError as error:
            pytest.fail(f"{scenario.name}:{number}: {line.strip()}: {error}")


def test_a_scenario_that_goes_otherwise_is_noticed() -> None:
    world = World()
    reign(world, "a")

    with pytest.raises(AssertionError, match="applied is 1, not 7"):
        expect(world, "a", "applied=7")
    with pytest.raises(AssertionError, match="saw no StepDown"):
        saw(world, "a", "StepDown")
