"""A named database's place in a process: what it shares with the main one."""

from collections.abc import Callable
from dataclasses import dataclass

from nexus.model.cluster import NodeId
from nexus.node.network.port import Port


def path_of(database: str) -> str:
    """Where its calls stand under the node's URL; nothing for the main one."""
    return f"/databases/{database}" if database else ""


@dataclass(frozen=True, slots=True)
class Guest:
    """The node of a named database: its name, and what the main one's lends it."""

    database: str
    node_id: NodeId
    """One id for a machine, whatever databases it has."""
    port: Port
    """Open already, and open still when the guest leaves."""
    is_led: Callable[[], bool] = lambda: False
    """Whether the main database's master is this node."""
