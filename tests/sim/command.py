"""`make sim`: many seeds on all cores; a failing one is shrunk and printed."""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import islice

from sim.plan import any_plan_of
from sim.shrink import failure_of, shrunk
from sim.world import World

BATCH = 20


def steps_of(seeds: range) -> tuple[int, int, list[tuple[int, str]]]:
    """Runs, steps, and the seeds that failed with what was found."""
    steps, failed = 0, []
    for seed in seeds:
        world = World(any_plan_of(seed))
        try:
            world.run()
        except Exception as error:  # noqa: BLE001 - every kind is a finding
            failed.append((seed, f"{type(error).__name__}: {error}"))
        steps += world.step
    return len(seeds), steps, failed


def say(line: str) -> None:
    """At once, also where the output is a file."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run seeds from SEED on; 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    wanted = parser.parse_args()
    began = time.monotonic()
    first, last = wanted.seed, wanted.seed + wanted.runs
    batches = [
        range(start, min(start + BATCH, last)) for start in range(first, last, BATCH)
    ]
    runs = steps = 0
    failed: list[tuple[int, str]] = []
    with ProcessPoolExecutor(wanted.jobs) as pool:
        for done, stepped, found in pool.map(steps_of, batches):
            runs, steps, failed = runs + done, steps + stepped, failed + found
            for seed, what in found:
                say(f"seed {seed} fails: {what}")
    took_s = time.monotonic() - began
    say(
        f"{runs} runs from seed {first} on, {steps / max(1, runs):.0f} steps each, "
        f"{len(failed)} failed, {runs / took_s:.1f} seeds/s on {wanted.jobs} cores"
    )
    for seed, _ in islice(failed, 2):
        plan = shrunk(any_plan_of(seed))
        say(f"\nshrunk:\n{plan}\n{failure_of(plan)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
