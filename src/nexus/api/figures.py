"""Every figure of a node in one answer, and those of a whole cluster side by side."""

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from nexus.api.facade import NodeFacade
from nexus.errors import WrongRoleError
from nexus.model.cluster import (
    MasterStats,
    MembersView,
    NodeStatus,
    ReplicaStats,
    ReplicaStatus,
    Role,
)
from nexus.model.token import TokenRole
from nexus.node.telemetry.events import NodeEvent

Answer = TypeVar("Answer")


class NodeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """GET /cluster/node: what the other calls about a node answer, at one moment."""

    at_us: int
    """By this node's clock, microseconds since 1970: rates are made of two answers."""
    status: NodeStatus
    master_stats: MasterStats | None = None
    """Of a master."""
    replica_stats: ReplicaStats | None = None
    """Of a replica or a witness."""
    replicas: tuple[ReplicaStatus, ...] = ()
    """Of a master."""
    members: MembersView | None = None
    """Where nodes vote."""
    events: tuple[NodeEvent, ...] = ()
    """Those newer than was asked for, oldest first."""


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """A node as another one sees it."""

    node_id: str
    url: str
    """Of its API; empty where nobody has said it."""
    addr: str = ""
    """Its HOST:PORT for other nodes; empty where nobody has said it."""
    figures: NodeFigures | None = None
    """Its last answer, without the events; None: it has given none."""
    error: str = ""
    """Why it does not answer now; empty: it does."""
    refuses: bool = False
    """It lives, and what it answered is that it lets this node not in."""


class ClusterView(msgspec.Struct, frozen=True):
    """GET /cluster: all nodes that this one knows of."""

    seen_by: str
    """This node's id."""
    nodes: tuple[NodeView, ...]
    """In the order of their ids."""
    may: TokenRole = TokenRole.ADMIN
    """What whoever asks may do: the page offers nothing that would be refused."""


def figures_of(node: NodeFacade, events_since: int) -> NodeFigures:
    """What this node says of itself just now."""
    status = node.status()
    reigns = status.role is Role.MASTER
    follows = status.role in (Role.REPLICA, Role.WITNESS)
    return NodeFigures(
        at_us=time.time_ns() // 1000,
        status=status,
        master_stats=_unless_wrong(node.master_stats) if reigns else None,
        replica_stats=_unless_wrong(node.replica_stats) if follows else None,
        replicas=_unless_wrong(node.replicas) or (),
        members=_unless_wrong(node.members),
        events=node.events.since(events_since),
    )


def _unless_wrong(ask: Callable[[], Answer]) -> Answer | None:
    """The answer; None where the role does not give it, or not any more."""
    try:
        return ask()
    except WrongRoleError:
        return None
