"""The command behind `make bench-peers`."""

import argparse
import shutil
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from nexus.cli.bench.bed import only_failures
from nexus.cli.bench.report import machine
from nexus.cli.outcome import NotDoneError
from nexus.cli.serve import SWITCH_INTERVAL_S
from nexus.cli.signals import signals_unwind
from nexus.cli.terminal import console, plain_table
from peers import mariadb, ourselves, postgresql
from peers.report import HEADINGS, Score, Scores, markdown, objections, rows
from peers.system import CLIENTS, Ground, System
from peers.tools import require_packages

BUDGET_S: Final = 150.0
"""After so long no further round begins: the whole takes about three minutes."""

REHEARSAL_SHARE: Final = 4
"""Before the rounds each system does a fourth of one, and has to prove it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done."""

    rounds: int
    commits: int
    """By each system in each round."""


FULL: Final = Plan(rounds=7, commits=200 * CLIENTS)
QUICK: Final = Plan(rounds=1, commits=16 * CLIENTS)


def main() -> int:
    """Measure, print, write; 1 where a figure is void or nothing could be done."""
    arguments = _arguments()
    plan = QUICK if arguments.quick else FULL
    only_failures()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        require_packages()
        with signals_unwind():
            scores = measured(plan, arguments.data)
    except NotDoneError as error:
        print(f"bench-peers: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench-peers: interrupted; every server was ended", file=sys.stderr)
        return 1
    table = plain_table()
    for heading in HEADINGS:
        table.add_column(heading)
    for row in rows(scores):
        table.add_row(*row)
    console().print(table)
    page = markdown(scores, machine=machine(), clients=CLIENTS, commits=plan.commits)
    if arguments.markdown is not None:
        arguments.markdown.write_text(page, encoding="utf-8")
    return 1 if any(objections(score) for score in scores.values()) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="prove that it runs")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write it too")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the disk to measure")
    return parser.parse_args()


def measured(plan: Plan, data: Path | None) -> Scores:
    """Run the three systems in a directory of their own, which is removed."""
    root = Path(tempfile.mkdtemp(prefix="nexus-peers-", dir=data))
    root.chmod(0o755)  # the peers' users must pass through it
    try:
        return uvloop.run(_all(plan, root))
    finally:
        shutil.rmtree(root, ignore_errors=True)


async def _all(plan: Plan, root: Path) -> Scores:
    begun = time.monotonic()
    async with AsyncExitStack() as stack:
        # Their starts block this loop; meanwhile a master would lose its voters.
        others: list[System] = [
            stack.enter_context(postgresql.running(Ground(root / "pg", _tell))),
            stack.enter_context(mariadb.running(Ground(root / "maria", _tell))),
        ]
        ours = ourselves.running(Ground(root / "nexus", _tell))
        systems = [await stack.enter_async_context(ours), *others]
        rehearsed = max(1, plan.commits // REHEARSAL_SHARE // CLIENTS) * CLIENTS
        for system in systems:
            await system.commit(rehearsed)
            await _require_proof(system, rehearsed)
        rates: dict[str, list[float]] = {system.name: [] for system in systems}
        for number in range(plan.rounds):
            if number and time.monotonic() - begun > BUDGET_S:
                break
            for system in systems:
                rates[system.name].append(await system.commit(plan.commits))
                # Its replicas must not go on applying in the others' turns.
                await system.evidence(rehearsed + (number + 1) * plan.commits)
            told = ", ".join(
                f"{name} {done[-1]:,.0f}/s" for name, done in rates.items()
            )
            _tell(f"round {number + 1} of {plan.rounds}: {told}")
        return {
            system.name: await _score(system, rates[system.name], rehearsed, plan)
            for system in systems
        }


async def _score(
    system: System, rates: list[float], rehearsed: int, plan: Plan
) -> Score:
    acknowledged = rehearsed + len(rates) * plan.commits
    return Score(
        system.version,
        system.settings,
        tuple(rates),
        acknowledged,
        await system.evidence(acknowledged),
    )


async def _require_proof(system: System, rehearsed: int) -> None:
    evidence = await system.evidence(rehearsed)
    score = Score(system.version, system.settings, (), rehearsed, evidence)
    if against := objections(score):
        raise NotDoneError(f"{system.name}'s rehearsal is void: {'; '.join(against)}")


def _tell(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
