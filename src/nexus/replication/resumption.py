"""Decide whether a consumer of changes can go on from where it has read.

It may have read entries that no history holds any more: the tail that an async master
lost with its failover. It is told so, and where its history ends.
"""

from nexus.errors import ChangesGoneError, NotAppliedError, PositionLostError
from nexus.model.change import Place
from nexus.model.position import EpochHistory, HistoryId, Offset, Reign


def require_known(history: EpochHistory, place: Place, applied: Offset) -> None:
    """Return if this node's applied history holds the place.

    Raises PositionLostError if it holds others' entries there, NotAppliedError if it
    may come to hold it.
    """
    position = place.position
    if position.history_id:
        following = _reigns_after(history, position.history_id)
        if following is None and position.epoch > history.epoch:
            raise NotAppliedError(
                f"this node knows of no epoch after {history.epoch}, and place {place} "
                "is of a later one; ask another node, or this one again later"
            )
        if following is None:
            raise PositionLostError(
                f"this node's history has no reign {position.history_id!r}, so place "
                f"{place} is of another cluster, or of a master whose writes were "
                "lost; read the tables as they are now, and go on from there"
            )
        if following and following[0].first_offset <= position.offset:
            raise _taken_back(history, place, following[0])
    if position.offset > applied:
        raise NotAppliedError(
            f"this node has applied entries up to {applied}, and place {place} is "
            "behind that; ask another node, or this one again later"
        )
    if position.history_id and history.position_at(position.offset) != position:
        raise PositionLostError(
            f"place {place} is none of this history: entry {position.offset} is at "
            f"{history.position_at(position.offset)}; read the tables as they are now, "
            "and go on from there"
        )


def require_retained(place: Place, oldest: Offset) -> None:
    """Raise ChangesGoneError if the entry to be read next is not there any more."""
    if place.next_offset < oldest:
        raise ChangesGoneError(
            f"entry {place.next_offset} is no longer retained: the oldest is {oldest}; "
            "read the tables as they are now and go on from there, or take what there "
            f"is with from={oldest}",
            oldest_offset=oldest,
        )


def _reigns_after(
    history: EpochHistory, history_id: HistoryId
) -> tuple[Reign, ...] | None:
    """None where there was no such reign."""
    for number, reign in enumerate(history.reigns):
        if reign.history_id == history_id:
            return history.reigns[number + 1 :]
    return None


def _taken_back(
    history: EpochHistory, place: Place, following: Reign
) -> PositionLostError:
    fork = history.position_at(Offset(following.first_offset - 1))
    return PositionLostError(
        f"a failover has taken back the entries from {following.first_offset} to "
        f"{place.position.offset} that you have read; undo them, or read the tables as "
        f"they are now, then go on with since={fork}",
        resume_from=str(fork),
    )
