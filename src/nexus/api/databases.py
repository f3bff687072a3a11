"""The named databases of a node: each has all the calls, under /databases/NAME."""

from collections.abc import Callable, Iterator
from typing import Final, Protocol
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from nexus.api.calls import Answer, Context, json_response, reading
from nexus.api.facade import NodeFacade
from nexus.api.problems import problem_response
from nexus.api.reached import as_reached, reached_by
from nexus.errors import NotFoundError
from nexus.model.cluster import LinkState, Role

PREFIX: Final = "/databases/"


class DatabaseView(msgspec.Struct, frozen=True):
    """One named database, as this node has it."""

    name: str
    path: str
    """Where its calls stand on this node."""
    role: Role
    state: LinkState
    epoch: int
    wal_offset: int
    applied_offset: int
    master_url: str
    last_error: str


class DatabasesView(msgspec.Struct, frozen=True):
    """GET /databases."""

    databases: tuple[DatabaseView, ...]


class NamedApplication(Protocol):
    """Serves one of them, as ASGI has it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or all of a WebSocket."""

    def stop(self) -> None:
        """End the answers that would go on for ever."""

    def close(self) -> None:
        """Close what it holds."""


Make = Callable[[NodeFacade], NamedApplication]
"""Makes the application of a named database's node."""


class NamedDatabases:
    """Hands requests on to the application of the database that their path names."""

    def __init__(self, node: NodeFacade, make: Make) -> None:
        self._node = node
        self._make = make
        self._applications: dict[str, NamedApplication] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose path begins with PREFIX."""
        name, slash, rest = scope["path"].removeprefix(PREFIX).partition("/")
        application = self._application(name)
        if application is not None and not slash and _wants_page(scope):
            # What the page names stands beside it: it needs the slash.
            to_page = Response(status_code=307, headers={"Location": f"{quote(name)}/"})
            await to_page(scope, receive, send)
        elif application is not None:
            path = slash + rest or "/"
            inner = {**scope, "path": path, "raw_path": quote(path).encode()}
            with bound_contextvars(database=name):
                await application(inner, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "reason": "no such database"})
        else:
            await self._unknown(name)(scope, receive, send)

    def opened(self) -> Iterator[NamedApplication]:
        """Those that were asked for so far."""
        yield from self._applications.values()

    def _unknown(self, name: str) -> Response:
        known = ", ".join(self._node.named) or "none"
        return problem_response(
            NotFoundError(
                f"this node has no database {name[:64]!r} (named ones: {known})"
            )
        )

    def _application(self, name: str) -> NamedApplication | None:
        if name not in self._applications:
            node = self._node.named.get(name)
            if node is None:
                return None
            self._applications[name] = self._make(node)
        return self._applications[name]


def _wants_page(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return scope["type"] == "http" and b"text/html" in headers.get(b"accept", b"")


async def _list(context: Context, request: Request) -> Response:
    host = reached_by(request)
    return json_response(
        DatabasesView(
            tuple(_view(name, node, host) for name, node in context.node.named.items())
        )
    )


def _view(name: str, node: NodeFacade, host: str) -> DatabaseView:
    status = as_reached(node.status(), host)
    return DatabaseView(
        name,
        PREFIX + name,
        status.role,
        status.state,
        status.epoch,
        status.wal_offset,
        status.applied_offset,
        status.master_url,
        status.last_error,
    )


CALLS: Final = (
    reading(
        "/databases",
        "databases",
        "The named databases of this node; each has all calls under its path.",
        {200: Answer("Those that the settings name.", DatabasesView)},
        _list,
    ),
)
