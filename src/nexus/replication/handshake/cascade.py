"""How a replica that follows a replica speaks of the chain: strings among features."""

from collections.abc import Iterable
from typing import Final

from nexus.model.cluster import NodeId

CASCADE: Final = "cascade"
"""In Hello: a replica will do as well as a master. In Welcome: this is a replica."""

VIA: Final = "via="
"""In a replica's Welcome: itself, whom it follows, and so on up to the master."""

WAITS: Final = "waits="
"""In Hello: who waits for its sender to follow somebody, near ones first."""

UP: Final = "up="
"""In a replica's Welcome: the address that it follows."""

IDS_MOST: Final = 64
"""A chain is no longer than that; what it says besides is left out."""


def named(features: Iterable[str], prefix: str) -> tuple[NodeId, ...]:
    """The node ids that one of the features lists."""
    for feature in features:
        if feature.startswith(prefix):
            ids = feature.removeprefix(prefix).split(",")
            return tuple(NodeId(each) for each in ids[:IDS_MOST] if each)
    return ()


def naming(prefix: str, ids: Iterable[str]) -> tuple[str, ...]:
    """The feature that lists these; none for nobody."""
    known = tuple(dict.fromkeys(ids))[:IDS_MOST]
    return (prefix + ",".join(known),) if known else ()


def upstream_of(features: Iterable[str]) -> str:
    """The address that the welcoming replica follows; empty if it is the master."""
    for feature in features:
        if feature.startswith(UP):
            return feature.removeprefix(UP)
    return ""


def chain(ids: Iterable[str]) -> str:
    """For people: who follows whom."""
    return " follows ".join(ids)
