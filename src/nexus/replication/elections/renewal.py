"""A reign that goes on above an epoch for which nobody was elected.

A node without a vote that stood alone has an epoch of its own making. When it follows
again, the master of a lower one would have to be elected anew: that is this node, which
stands at once, as an heir does, without a pre-vote and whatever the voters have heard.
"""

from nexus.model.position import Epoch
from nexus.replication.elections.effects import VoteRecord


class Renewal:
    """For one dead-time after that epoch was met, unless another one is met or won."""

    def __init__(self) -> None:
        self._record = VoteRecord()
        self._until_ms: float = float("-inf")

    def begins(self, epoch: Epoch, until_ms: int) -> None:
        """This node reigned, and met the epoch."""
        self._record, self._until_ms = VoteRecord(epoch), float(until_ms)

    def is_due(self, record: VoteRecord, now_ms: int) -> bool:
        """Whether it stands as soon as its database allows that."""
        return record == self._record and now_ms < self._until_ms
