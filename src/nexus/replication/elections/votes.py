"""Whether a voter grants a vote (Raft, sections 5.2 and 5.4.1), or why not."""

from typing import Final

import msgspec

from nexus.model.cluster import NodeId
from nexus.model.position import Position
from nexus.protocol.messages import VoteRequest
from nexus.replication.elections.effects import ElectionSettings, LogView, VoteRecord

FARTHEST: Final = 1 << 32
"""Epochs that a request may be ahead: no true one is, and a false one ends all."""


class Refused(msgspec.Struct, frozen=True):
    """Why not, in a sentence for the candidate's log."""

    reason: str
    adopts: bool = False
    """Whether the candidate's higher epoch is taken over all the same."""
    behind: bool = False
    """Whether the candidate's log is what is wrong."""


def refusal(
    request: VoteRequest,
    settings: ElectionSettings,
    record: VoteRecord,
    log: LogView,
    *,
    sticks: bool,
) -> Refused | None:
    """None where the vote is granted.

    `sticks`: this voter has heard its master lately, or has just been started.
    """
    return (
        _stranger(request, settings, record, log)
        or _too_late(request, record)
        or _loyal(request, sticks=sticks)
        or _unable(log)
        or _behind(request.position, log.position)
        or _taken(request, record)
    )


def is_behind(position: Position, other: Position) -> bool:
    """Whether a log that ends at `position` may lack entries that `other` has.

    The epoch of the last entry decides before the length: a longer log of an older
    reign may be longer by entries that were never committed (Raft, figure 8).
    """
    return (position.epoch, position.offset) < (other.epoch, other.offset)


def _stranger(
    request: VoteRequest, settings: ElectionSettings, record: VoteRecord, log: LogView
) -> Refused | None:
    if request.cluster_id != settings.cluster_id:
        return Refused(
            f"the candidate is of cluster {request.cluster_id!r}, this voter of "
            f"{settings.cluster_id!r}"
        )
    if request.epoch > record.epoch + FARTHEST:
        return Refused(f"epoch {request.epoch} is out of this world")
    # A candidate with a longer log may know of voters that are not in the log here:
    # itself, or this node, without whose vote there may be no majority. It counts the
    # votes of those that its own log names, and of nobody else.
    if is_behind(log.position, request.position):
        return None
    if settings.node_id not in log.voters:
        return Refused(f"{settings.node_id} is no voter as far as its own log says")
    if request.candidate_id not in log.voters:
        return Refused(f"{request.candidate_id} is no voter")
    return None


def _too_late(request: VoteRequest, record: VoteRecord) -> Refused | None:
    least = record.epoch + 1 if request.pre_vote else record.epoch
    if request.epoch >= least:
        return None
    return Refused(f"epoch {record.epoch} has begun already")


def _loyal(request: VoteRequest, *, sticks: bool) -> Refused | None:
    """Raft, section 6; the epoch is left alone, or a stranger could depose a master."""
    if request.transfer or not sticks:
        return None
    return Refused("a master was heard less than a dead-time ago")


def _unable(log: LogView) -> Refused | None:
    if log.sound:
        return None
    return Refused("the log here lacks entries that were acknowledged", adopts=True)


def _behind(candidate: Position, own: Position) -> Refused | None:
    if candidate.epoch == own.epoch and candidate.history_id != own.history_id:
        return Refused(
            f"epoch {own.epoch} has two histories: {own.history_id} here, "
            f"{candidate.history_id} at the candidate",
            adopts=True,
        )
    if not is_behind(candidate, own):
        return None
    reason = f"the candidate stands at {candidate}, behind {own}"
    return Refused(reason, adopts=True, behind=True)


def _taken(request: VoteRequest, record: VoteRecord) -> Refused | None:
    taken = record.voted_for not in (NodeId(""), request.candidate_id)
    if request.pre_vote or request.epoch > record.epoch or not taken:
        return None
    return Refused(f"the vote of epoch {record.epoch} is {record.voted_for}'s")
