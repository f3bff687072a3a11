"""Who must hold an entry, and what the nodes' acknowledgements prove of it."""

from collections.abc import Callable

from nexus.model.cluster import NodeId
from nexus.model.position import NO_OFFSET, Offset
from nexus.replication.quorum import committed_offset, majority

Held = dict[str, Offset]
"""The last entry that each node, the master included, is known to hold durably."""


class Tally:
    """Counts for one reign; it is asked anew whenever somebody has acknowledged."""

    def __init__(
        self,
        quorum: int,
        first_offset: Offset,
        held: Callable[[], Held],
    ) -> None:
        """`first_offset` is the reign's first entry; a `quorum` of 0 is a majority."""
        self._quorum = quorum
        self._first_offset = first_offset
        self._held = held
        self.voters: frozenset[NodeId] = frozenset()
        """Who counts in a quorum; nobody is named: whoever follows."""
        self._former: frozenset[NodeId] = frozenset()
        """Who voted before, until a majority holds the change that ends it."""
        self._changed_at = first_offset
        """The entry that made the voters what they are, or began this reign."""
        self._is_settled_yet = True
        self.required: frozenset[NodeId] = frozenset()
        """Besides a quorum each of these must hold an entry (hard-case 4)."""

    @property
    def quorum(self) -> int:
        """Nodes that must hold an entry; a majority of the voters unless configured."""
        return self._quorum or self._majority

    @property
    def _majority(self) -> int:
        return majority(len(self.voters))

    def elected(
        self, voters: frozenset[NodeId], former: frozenset[NodeId] = frozenset()
    ) -> None:
        """These count, or still the former; nothing is known to be committed."""
        self.voters, self._former = voters, former
        self._is_settled_yet = False

    def configured(self, voters: frozenset[NodeId], quorum: int, since: Offset) -> None:
        """Who counts from the entry `since` on, and how many must hold an entry."""
        self._former = self._counted_for_retention
        self._changed_at = max(self._changed_at, since)
        self._is_settled_yet = False
        self.voters, self._quorum = voters, quorum

    def counts(self, node_id: NodeId) -> bool:
        """Whether a quorum may have it: a learner never counts, whatever it holds."""
        return not self.voters or node_id in self.voters

    @property
    def is_settled(self) -> bool:
        """Whether a majority holds this reign's begin and the voters' last change."""
        if not self._is_settled_yet and self.held_by_majority >= self._changed_at:
            self._is_settled_yet = True
        return self._is_settled_yet

    @property
    def held_by_majority(self) -> Offset:
        """The last entry that a majority of voters holds, whatever the quorum is.

        What voters decide with each other stands on that: 0 before this reign's first
        entry is among it.
        """
        held = committed_offset(self._counted(self._held()), quorum=self._majority)
        return held if held >= self._first_offset else NO_OFFSET

    @property
    def held_by_all(self) -> Offset:
        """The last entry that every voter is known to hold; 0 without voters.

        What each of them has, whoever is elected has: no witness need keep it. Who is
        no voter any more counts until nobody can undo that.
        """
        held, all_ = self._held(), self._counted_for_retention
        return min((held.get(one, NO_OFFSET) for one in all_), default=NO_OFFSET)

    def committed(self, own: Offset) -> Offset:
        """The last entry that is known to stay; 0 before one of this reign is.

        `own` is the last that this node holds durably.
        """
        if not self.voters and not self.required and self.quorum == 1:
            return own
        held = self._held()
        counted = committed_offset(self._counted(held), quorum=self.quorum)
        listed = (held.get(node, NO_OFFSET) for node in self.required)
        # A quorum without this node is one; SQLite's commit here waits for the own
        # sync all the same.
        committed = min((counted, own, *listed))
        # Raft, 5.4.2: entries of earlier reigns commit with one of this reign; a count
        # alone does not prove that they stay.
        return committed if committed >= self._first_offset else NO_OFFSET

    @property
    def _counted_for_retention(self) -> frozenset[NodeId]:
        return self.voters if self.is_settled else self.voters | self._former

    def _counted(self, held: Held) -> Held:
        return {
            node: offset for node, offset in held.items() if self.counts(NodeId(node))
        }
