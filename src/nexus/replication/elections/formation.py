"""Whether a cluster can be formed of the peers that have answered (hard-case 3).

Every listed node decides for itself, from the same answers: the cluster's id is a hash
of its voters, so that two nodes with different lists never elect together. One of the
nodes may hold an imported database: it is the founder, the first master.
"""

from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from nexus.model.cluster import NodeId
from nexus.model.operation import Configuration
from nexus.model.position import NO_OFFSET, Offset


class Sighting(msgspec.Struct, frozen=True):
    """What the node at one listed address has said of itself."""

    node_id: NodeId
    cluster_id: str
    end: Offset
    """The end of its log."""
    imported: bool = False
    """Nobody has reigned yet over the database that it holds."""


class Formed(msgspec.Struct, frozen=True):
    """Every listed node has answered and was of no cluster: these are the voters."""

    configuration: Configuration
    founder: NodeId = NodeId("")
    """Who alone has a database, and so alone may be the first master."""


class Joins(msgspec.Struct, frozen=True):
    """The cluster exists already, at these addresses: its log says who votes."""

    addresses: tuple[str, ...]


class Waits(msgspec.Struct, frozen=True):
    """Not yet, or never as the list stands; `reason` is for the person on call."""

    reason: str


def formation(
    own: NodeId, sightings: Mapping[str, Sighting | None]
) -> Formed | Joins | Waits:
    """What this node of no cluster does; `sightings` has every listed address."""
    seen = {address: one for address, one in sightings.items() if one is not None}
    settled = [
        address
        for address, one in seen.items()
        if one.end > NO_OFFSET and not one.imported
    ]
    if settled and any(one.imported and one.node_id == own for one in seen.values()):
        return Waits(
            f"the node at {settled[0]} has a cluster already, whose rows would replace "
            "the database imported here; name peers that are empty"
        )
    if settled:
        return Joins(tuple(settled))
    missing = sorted(sightings.keys() - seen.keys())
    if missing:
        return Waits(
            f"the cluster is formed once every listed node answers; {missing[0]} "
            f"does not ({len(seen)} of {len(sightings)} do)"
        )
    return _formed(own, seen)


def _formed(own: NodeId, seen: Mapping[str, Sighting]) -> Formed | Waits:
    by_node = {one.node_id: address for address, one in seen.items()}
    if len(by_node) < len(seen):
        return Waits(
            "two addresses of replication.peers lead to the same node; name each once"
        )
    if own not in by_node:
        return Waits(
            "none of the addresses in replication.peers leads to this node; add its "
            "own replication.bind_addr, the same list on every node"
        )
    voters = tuple(sorted(by_node.items()))
    cluster_id = cluster_id_of(voters)
    for address, one in seen.items():
        if one.cluster_id not in ("", cluster_id):
            return Waits(
                f"the node at {address} belongs to cluster {one.cluster_id} already, "
                "formed of other peers; give all nodes the same replication.peers"
            )
    founders = [one.node_id for one in seen.values() if one.imported]
    if len(founders) > 1:
        return Waits(
            f"{len(founders)} of the listed nodes hold an imported database; import "
            "it on one of them, and start the others with an empty directory"
        )
    return Formed(Configuration(cluster_id, voters), *founders)


def cluster_id_of(voters: tuple[tuple[str, str], ...]) -> str:
    """The id of the cluster that these nodes form: the same on each of them."""
    digest = blake2b(digest_size=8)
    for node_id, _ in sorted(voters):
        digest.update(node_id.encode() + b"\0")
    return digest.hexdigest()
