"""Since when a quorum of voters is known to follow this master (hard-case 15).

A Ping carries a stamp that its Pong returns, and the lease counts from the moment
at which that Ping was sent: what the voter did after it answered is not known.
"""

from collections import deque
from collections.abc import Set as AbstractSet
from typing import Final

from nexus.model.cluster import NodeId
from nexus.replication.quorum import majority

OPEN_MOST: Final = 64
"""Pings of one voter whose answers are waited for; older ones count no more."""


class Lease:
    """The pings of one reign: when each was sent, and which were answered."""

    def __init__(self, node_id: NodeId) -> None:
        self._node_id = node_id
        self._open: dict[NodeId, deque[tuple[int, int]]] = {}
        self._answered: dict[NodeId, tuple[int, int]] = {}
        self.last_stamp = 0
        """Of the newest Ping, to whomever."""

    def pinged(self, node_id: NodeId, now_ms: int) -> int:
        """A Ping is about to be sent; its stamp, greater than every one before."""
        self.last_stamp = max(now_ms, self.last_stamp + 1)
        pings = self._open.setdefault(node_id, deque(maxlen=OPEN_MOST))
        pings.append((self.last_stamp, now_ms))
        return self.last_stamp

    def next_round(self) -> int:
        """A stamp that no Ping has had; every later one's is greater."""
        self.last_stamp += 1
        return self.last_stamp

    def answered(self, node_id: NodeId, stamp: int) -> None:
        """A Pong came; one that answers no Ping of this reign proves nothing."""
        pings = self._open.get(node_id, deque())
        found = next((ping for ping in pings if ping[0] == stamp), None)
        if found is None:
            return
        while pings[0] != found:
            pings.popleft()
        pings.popleft()
        self._answered[node_id] = found

    def heard_ms(self, voters: AbstractSet[NodeId], now_ms: int) -> int | None:
        """The latest time at which a majority of voters certainly followed."""
        proof = self._proven(voters, (self.last_stamp, now_ms))
        return None if proof is None else proof[1]

    def confirmed(self, voters: AbstractSet[NodeId]) -> int:
        """The highest stamp that a majority of voters has answered; 0 if none."""
        proof = self._proven(voters, (self.last_stamp, 0))
        return 0 if proof is None else proof[0]

    def _proven(
        self, voters: AbstractSet[NodeId], own: tuple[int, int]
    ) -> tuple[int, int] | None:
        answers = {**self._answered, self._node_id: own}
        proofs = sorted(
            (answers[voter] for voter in voters if voter in answers), reverse=True
        )
        needed = majority(len(voters))
        return proofs[needed - 1] if len(proofs) >= needed else None
