"""What a set of acknowledgements proves.

Arithmetic on offsets only: no clock, no network, no disk.
"""

from collections.abc import Iterable, Mapping

from nexus.model.position import NO_OFFSET, Offset


def majority(voters: int) -> int:
    """The least number of nodes that any two of which share a node."""
    assert voters > 0, "a majority of nobody proves nothing"
    return voters // 2 + 1


def committed_offset(
    held: Mapping[str, Offset], *, quorum: int | None = None
) -> Offset:
    """The last offset that at least `quorum` of the nodes hold durably.

    `held` names every node that counts, the master included, with its durable offset;
    without a `quorum` a majority of them is asked for. 0 if there are too few nodes.
    """
    needed = majority(len(held)) if quorum is None else quorum
    assert needed > 0, "a quorum has at least one node"
    if len(held) < needed:
        return NO_OFFSET
    return sorted(held.values(), reverse=True)[needed - 1]


def durable_on(held: Iterable[Offset], offset: Offset) -> int:
    """How many nodes hold the entry at `offset`."""
    return sum(durable >= offset for durable in held)
