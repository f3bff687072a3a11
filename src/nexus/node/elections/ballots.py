"""Count the elections that a voter takes part in, from what its member asks for."""

from collections import Counter

from nexus.node.telemetry.measures import Measures
from nexus.replication.effects import Report
from nexus.replication.elections.effects import BecomeMaster, PersistVote
from nexus.replication.members.effects import MemberEffects


class Ballots:
    """One voter's own candidacies: each is won or lost."""

    def __init__(self, measures: Measures, own_id: str) -> None:
        self._measures = measures
        self._own_id = own_id
        self._stands = False

    def notice(self, effects: MemberEffects) -> None:
        """Count what these say."""
        for effect in effects:
            match effect:
                case PersistVote(voted_for=self._own_id):
                    self._end("lost")
                    self._stands = True
                    self.counts["started"] += 1
                case PersistVote():
                    self._end("lost")
                case BecomeMaster():
                    self._end("won")
                case Report(event="election_ended"):
                    self._end("lost")
                case _:
                    continue

    @property
    def counts(self) -> Counter[str]:
        """Where they are counted."""
        return self._measures.elections

    def _end(self, how: str) -> None:
        if self._stands:
            self._stands = False
            self.counts[how] += 1
