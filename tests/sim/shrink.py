"""Cut a failing plan down to the faults that it needs: a short, readable scenario."""

from collections.abc import Callable
from dataclasses import replace

from sim.plan import Plan
from sim.world import World

TRIES_MOST = 250


def failure_of(plan: Plan) -> str:
    """What goes wrong in this run; empty if nothing does.

    A machine's broken assertion is a failure just as a broken invariant is.
    """
    world = World(plan)
    try:
        world.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was found
        kind = type(error).__name__
        return f"{kind} at {world.time} ms, step {world.step}: {error}"
    return ""


def shrunk(plan: Plan, fails: Callable[[Plan], str] = failure_of) -> Plan:
    """The shortest plan found that still fails: fewer faults, clients, milliseconds.

    Halves of the faults are dropped first, then ever smaller parts.
    """
    tries = 0

    def still_fails(candidate: Plan) -> bool:
        nonlocal tries
        tries += 1
        return tries <= TRIES_MOST and bool(fails(candidate))

    size = max(1, len(plan.faults) // 2)
    while size:
        start = 0
        while start < len(plan.faults):
            shorter = plan.without(start, start + size)
            if still_fails(shorter):
                plan = shorter
            else:
                start += size
        size //= 2
    for simpler in (
        replace(plan, drift_percent=()),
        replace(plan, loss_percent=0),
        replace(plan, clients=1),
        replace(plan, clients=2),
        replace(plan, learners=()),
    ):
        merged = replace(
            plan,
            **{
                name: getattr(simpler, name)
                for name in ("drift_percent", "loss_percent", "clients", "learners")
                if getattr(simpler, name) != getattr(plan, name)
            },
        )
        if merged != plan and still_fails(merged):
            plan = merged
    return _sooner_over(plan, still_fails)


def _sooner_over(plan: Plan, still_fails: Callable[[Plan], bool]) -> Plan:
    last = max((fault.at_ms for fault in plan.faults), default=0)
    for stress_ms in (last + 100, last + 500, last + 1_000):
        shorter = replace(plan, stress_ms=stress_ms)
        if stress_ms < plan.stress_ms and still_fails(shorter):
            return shorter
    return plan
