"""What the rounds came to: verdicts, the table, the page."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from peers.system import Evidence

TARGET: Final = 2.0
"""Nexus commits at least so many times as fast as each of the others."""

OURS: Final = "Nexus"


@dataclass(frozen=True, slots=True)
class Score:
    """One system's rounds."""

    version: str
    settings: str
    rates: tuple[float, ...]
    """Commits a second, a figure for each round."""
    acknowledged: int
    evidence: Evidence


Scores = Mapping[str, Score]

HEADINGS: Final = (
    "system",
    "commits/s, median",
    "slowest to fastest round",
    "Nexus is",
    "target",
    "met",
    "synchronous, shown by",
)


def objections(score: Score) -> tuple[str, ...]:
    """Why a system's figures are void; empty where they hold."""
    found = list(score.evidence.doubts)
    most = max(score.evidence.rows_on_replicas, default=0)
    if most != score.acknowledged:
        found.append(
            f"{score.acknowledged:,} rows were acknowledged, the fuller replica "
            f"shows {most:,}"
        )
    return tuple(found)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of ours by theirs, round by round: both sides met the same noise."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def is_met(scores: Scores, name: str) -> bool | None:
    """Whether Nexus is fast enough beside `name`; None where a figure is void."""
    if objections(scores[OURS]) or objections(scores[name]):
        return None
    return ratio(scores[OURS].rates, scores[name].rates) >= TARGET


def rows(scores: Scores) -> list[tuple[str, ...]]:
    """The table's rows, as texts, under HEADINGS."""
    return [_row(scores, name) for name in scores]


def _row(scores: Scores, name: str) -> tuple[str, ...]:
    score = scores[name]
    against = objections(score)
    if against:
        return (name, "void", "-", "-", "-", "void", "; ".join(against))
    spread = f"{min(score.rates):,.0f} to {max(score.rates):,.0f}"
    compared = ("-", "-", "-")
    if name != OURS:
        times = ratio(scores[OURS].rates, score.rates)
        said = {True: "yes", False: "no", None: "void"}[is_met(scores, name)]
        compared = (f"{times:.2f} x", f"≥ {TARGET:.0f} x", said)
    median = f"{statistics.median(score.rates):,.0f}"
    counts = " and ".join(f"{count:,}" for count in score.evidence.rows_on_replicas)
    shown = (
        f"{score.evidence.shown}; of {score.acknowledged:,} acknowledged rows "
        f"the replicas show {counts}"
    )
    return (name, median, spread, *compared, shown)


def markdown(scores: Scores, *, machine: str, clients: int, commits: int) -> str:
    """For the documentation."""
    table = [HEADINGS, tuple("---" for _ in HEADINGS), *rows(scores)]
    lines = [f"| {' | '.join(row)} |" for row in table]
    lines.append("")
    lines += [
        f"- *{name}*: {score.version}; {score.settings}."
        for name, score in scores.items()
    ]
    rounds = len(next(iter(scores.values())).rates)
    lines += [
        "",
        f"{rounds} rounds in turns, {commits:,} commits of {clients} clients by each "
        f"system in each; {machine}.",
        "",
    ]
    return "\n".join(lines)
