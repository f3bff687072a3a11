"""Run the transcripts of tests/scenarios/elections (see the README there)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch
from nexus.replication.elections.elector import Elector
from nexus.replication.elections.moves import MOVES, ElectionState
from replication.polls import Polls

SCENARIOS = Path(__file__).parents[2] / "scenarios" / "elections"
TRANSCRIPTS = sorted(SCENARIOS.glob("*.txt"))


def voters(polls: Polls, *names: str) -> None:
    """The first is the least patient; `w…` is a witness."""
    for number, name in enumerate(names):
        luck = number / len(names)
        polls.add(name, luck=luck, stands=not name.startswith("w"))
    polls.form()


def log(polls: Polls, name: str, end: str) -> None:
    epoch, _, offset = end.partition(":")
    polls.write(name, int(epoch), int(offset))


def tick(polls: Polls, duration_ms: str) -> None:
    polls.tick(int(duration_ms))


def deliver(polls: Polls, most: str = "10000") -> None:
    polls.deliver(int(most))


def cut(polls: Polls, name: str, *others: str) -> None:
    polls.cut |= {frozenset((name, other)) for other in others}


def heal(polls: Polls) -> None:
    polls.cut.clear()


def crash(polls: Polls, *names: str) -> None:
    for name in names:
        polls.crash(name)


def start(polls: Polls, *names: str) -> None:
    for name in names:
        polls.start(name)


def suspect(polls: Polls, name: str) -> None:
    """Its patience ends now; the votes are not delivered yet."""
    machine = polls.machine(name)
    machine._deadline_ms = polls.now_ms
    polls.perform(name, machine.tick(polls.now_ms))


def campaign(polls: Polls, name: str) -> None:
    polls.perform(name, polls.machine(name).campaign(polls.now_ms))


def heartbeat(polls: Polls, name: str) -> None:
    polls.heartbeat(name)


def lose_quorum(polls: Polls, name: str) -> None:
    polls.perform(name, polls.machine(name).lost_quorum(polls.now_ms))


def switchover(polls: Polls, name: str, heir: str) -> None:
    machine = polls.machine(name)
    polls.perform(name, machine.switchover(NodeId(heir), polls.now_ms))


def ready(polls: Polls, name: str) -> None:
    polls.perform(name, polls.machine(name).heir_ready(polls.now_ms))


def overtake(polls: Polls, name: str, epoch: str) -> None:
    machine = polls.machine(name)
    polls.perform(name, machine.overtaken(Epoch(int(epoch)), polls.now_ms))


def lend(polls: Polls, name: str) -> None:
    polls.lend(name)


def maintenance(polls: Polls, *names: str) -> None:
    for name in names:
        polls.machine(name).auto_failover = False


def saw(polls: Polls, name: str, *effects: str) -> None:
    """These effects in this order; then forget all."""
    voter = polls.voters[name]
    left = iter(type(effect).__name__ for effect in voter.seen)
    for wanted in effects:
        if wanted.startswith("no-"):
            assert wanted[3:] not in list(left), f"{name} saw {wanted[3:]}"
        else:
            assert wanted in left, f"{name} saw no {wanted} (in this order)"
    voter.seen.clear()


FACTS: dict[str, Callable[[Polls, str], Any]] = {
    "state": lambda polls, name: polls.state(name),
    "epoch": lambda polls, name: polls.voters[name].record.epoch,
    "vote": lambda polls, name: polls.voters[name].record.voted_for or "nobody",
}


def expect(polls: Polls, name: str, *claims: str) -> None:
    for claim in claims:
        key, _, wanted = claim.partition("=")
        found = str(FACTS[key](polls, name))
        assert found == wanted, f"{name}: {key} is {found}, not {wanted}"


VERBS: dict[str, Callable[..., None]] = {
    verb.__name__.replace("_", "-"): verb
    for verb in (
        voters,
        log,
        tick,
        deliver,
        cut,
        heal,
        crash,
        start,
        suspect,
        campaign,
        heartbeat,
        lose_quorum,
        switchover,
        ready,
        overtake,
        lend,
        maintenance,
        saw,
        expect,
    )
}

Move = tuple[ElectionState, ElectionState]


@contextmanager
def watched(moves: set[Move]) -> Iterator[None]:
    """Note the moves of all electors meanwhile."""
    true_move = Elector._move

    def noting(elector: Elector, state: ElectionState) -> None:
        moves.add((elector.state, state))
        true_move(elector, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Elector, "_move", noting)
        yield


def run(transcript: Path) -> set[Move]:
    """Run it line by line; every move that was made in it."""
    polls, moves = Polls(), set[Move]()
    for number, line in enumerate(transcript.read_text().splitlines(), start=1):
        verb, *words = line.partition("#")[0].split() or [""]
        if not verb:
            continue
        try:
            with watched(moves):
                VERBS[verb](polls, *words)
        except AssertionError as error:
            pytest.fail(f"{transcript.name}:{number}: {line.strip()}: {error}")
        reigns = [epoch for voter in polls.voters.values() for epoch in voter.reigned]
        assert len(reigns) == len(set(reigns)), "two masters of one epoch"
    return moves


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
def test_an_election_goes_as_it_is_written(transcript: Path) -> None:
    run(transcript)


@pytest.mark.interpreted
def test_the_transcripts_make_every_move_that_there_is() -> None:
    made = set[Move]().union(*map(run, TRANSCRIPTS))

    assert made == {(move, to) for move, tos in MOVES.items() for to in tos}
