"""URLs in answers as whoever asks can use them.

A node that listens on every address of its machine does not know by which one others
reach it. Whoever asks has just reached it by one.
"""

import re
from functools import singledispatch
from typing import Final, TypeVar, cast
from urllib.parse import urlsplit

from msgspec.structs import replace
from starlette.requests import Request
from starlette.types import Scope

from nexus.api.figures import ClusterView, NodeFigures, NodeView
from nexus.model.cluster import NodeStatus, ReplicaStatus
from nexus.node.network.addresses import reachable_url

Told = TypeVar("Told")

_HOST: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?")


def reached_by(request: Request) -> str:
    """The host by which the caller has reached this node; empty where nothing tells."""
    return host_in(request.scope)


def host_in(scope: Scope) -> str:
    """The same for a request that nobody has taken apart yet."""
    named = next((value for key, value in scope["headers"] if key == b"host"), b"")
    if match := _HOST.fullmatch(named.decode("latin-1")):
        return match[1].strip("[]")
    server = scope.get("server")
    return str(server[0]) if server else ""


def host_of(url: str) -> str:
    """The host of a URL; empty where it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def as_reached(told: Told, host: str) -> Told:
    """The answer, with `host` in each URL of a node that listens on every address."""
    return cast("Told", _completed(told, host)) if host else told


@singledispatch
def _completed(told: object, host: str) -> object:  # noqa: ARG001 - it names no node
    return told


@_completed.register
def _(told: NodeStatus, host: str) -> NodeStatus:
    return replace(told, master_url=reachable_url(told.master_url, host))


@_completed.register
def _(told: ReplicaStatus, host: str) -> ReplicaStatus:
    return replace(told, http_url=reachable_url(told.http_url, host))


@_completed.register
def _(told: NodeFigures, host: str) -> NodeFigures:
    return replace(
        told,
        status=as_reached(told.status, host),
        replicas=tuple(as_reached(one, host) for one in told.replicas),
    )


@_completed.register
def _(told: NodeView, host: str) -> NodeView:
    return replace(
        told,
        url=reachable_url(told.url, host),
        figures=as_reached(told.figures, host),
    )


@_completed.register
def _(told: ClusterView, host: str) -> ClusterView:
    return replace(told, nodes=tuple(as_reached(one, host) for one in told.nodes))
