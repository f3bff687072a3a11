"""What a node can be in the eyes of the election, and every legal move."""

from enum import StrEnum
from typing import Final


class ElectionState(StrEnum):
    """What a node is in the eyes of the election."""

    FOLLOWER = "follower"
    """Hears a master, or waits for one."""
    PRE_CANDIDATE = "pre_candidate"
    """Asks whether it would be elected; nobody's epoch grows by that."""
    CANDIDATE = "candidate"
    """Has voted for itself in a new epoch, and asks for the others' votes."""
    FETCHING = "fetching"
    """Takes from a witness's log what its own lacks, before it stands again."""
    MASTER = "master"
    HANDING_OVER = "handing_over"
    """A master that takes no writes: its heir is about to be elected."""


MOVES: Final = {
    ElectionState.FOLLOWER: {
        ElectionState.PRE_CANDIDATE: "the dead-time has passed in silence",
        ElectionState.CANDIDATE: "the master said TakeOver, or itself was overtaken",
    },
    ElectionState.PRE_CANDIDATE: {
        ElectionState.CANDIDATE: "a majority would vote for it",
        ElectionState.FETCHING: "it would lose, and a witness has the longer log",
        ElectionState.FOLLOWER: "it would lose, or a master or higher epoch was met",
    },
    ElectionState.CANDIDATE: {
        ElectionState.MASTER: "a majority has voted for it",
        ElectionState.FETCHING: "it has lost, and a witness has the longer log",
        ElectionState.FOLLOWER: "it has lost, or a master or higher epoch was met",
    },
    ElectionState.FETCHING: {
        ElectionState.PRE_CANDIDATE: "the fetch has ended",
        ElectionState.FOLLOWER: "it took too long, or a master or higher epoch was met",
    },
    ElectionState.MASTER: {
        ElectionState.HANDING_OVER: "an operator wants a switchover",
        ElectionState.FOLLOWER: "it has lost its quorum, or met a higher epoch",
    },
    ElectionState.HANDING_OVER: {
        ElectionState.MASTER: "no higher epoch came within the dead-time",
        ElectionState.FOLLOWER: "the heir's epoch was met, or the quorum was lost",
    },
}
"""Every move that there is, and what makes it."""

REIGNS: Final = frozenset({ElectionState.MASTER, ElectionState.HANDING_OVER})
CAMPAIGNS: Final = frozenset({ElectionState.PRE_CANDIDATE, ElectionState.CANDIDATE})
