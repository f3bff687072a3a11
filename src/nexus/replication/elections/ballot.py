"""The votes of one campaign, and whether they decide it yet."""

from collections.abc import Collection
from enum import Enum, auto

from nexus.model.cluster import NodeId
from nexus.replication.quorum import majority


class Verdict(Enum):
    """What the votes mean so far."""

    OPEN = auto()
    WON = auto()
    """A majority of the voters is for the candidate."""
    LOST = auto()
    """No majority can be any more."""


class Ballot:
    """Of one candidate, which is for itself; a new campaign makes a new one."""

    def __init__(self, candidate: NodeId) -> None:
        self._granted = {candidate}
        self._refused: set[NodeId] = set()
        self.lender: NodeId | None = None
        """A witness that refused because its log is longer: it may be borrowed."""

    def granted(self, voter: NodeId) -> None:
        """It is for the candidate."""
        self._granted.add(voter)

    def refused(self, voter: NodeId, *, lends: bool) -> None:
        """It is not; with `lends` its log has what the candidate's lacks."""
        self._refused.add(voter)
        if lends:
            self.lender = voter

    def verdict(self, voters: Collection[NodeId]) -> Verdict:
        """What is decided where these vote; who is no voter does not count."""
        needed = majority(len(voters))
        if len(self._granted.intersection(voters)) >= needed:
            return Verdict.WON
        if len(voters) - len(self._refused.intersection(voters)) < needed:
            return Verdict.LOST
        return Verdict.OPEN
