"""What a set of acknowledgements proves.

Arithmetic on offsets only: no clock, no network, no disk.
"""

from collections.abc import Iterable, Mapping

from nexus.model.cluster import NodeId
from nexus.model.position import NO_OFFSET, Offset


def majority(voters: int) -> int:
    """The least number of voters such that any two sets of so many share one."""
    assert voters > 0, "a majority of nobody proves nothing"
    return voters // 2 + 1


def committed_offset(held: Mapping[str, Offset], *, quorum: int) -> Offset:
    """The last offset that at least `quorum` of the nodes hold durably.

    `held` names every node that counts, the master included, with its durable offset.
    0 if there are too few nodes.
    """
    assert quorum > 0, "a quorum has at least one node"
    if len(held) < quorum:
        return NO_OFFSET
    return sorted(held.values(), reverse=True)[quorum - 1]


def in_turn(nodes: Iterable[NodeId], own: NodeId) -> list[NodeId]:
    """The order in which these are handed over to: those behind `own` first.

    Where each hands over to the next, everybody has his turn, whatever is not known.
    """
    return sorted(nodes, key=lambda node: (node <= own, node))


def durable_on(held: Iterable[Offset], offset: Offset) -> int:
    """How many nodes hold the entry at `offset`."""
    return sum(durable >= offset for durable in held)
