"""The ASGI application of a node: POST /sql first, then the router for the rest."""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from nexus.api import (
    acting,
    changes,
    cluster,
    databases,
    health,
    overview,
    replication,
    snapshots,
    sql,
    tokens,
)
from nexus.api.audit import Audit, address_of
from nexus.api.bodies import BodyReader, ClientGoneError
from nexus.api.calls import ADMITTED, MAY, Call, Context, Handler
from nexus.api.consumers import Consumers
from nexus.api.dashboard import files
from nexus.api.databases import PREFIX, NamedDatabases
from nexus.api.facade import NodeFacade
from nexus.api.forward import Forwarder
from nexus.api.hrana import calls as hrana
from nexus.api.hrana.endpoints import HranaCalls
from nexus.api.lookout import Lookout
from nexus.api.metrics import exposition as metrics
from nexus.api.openapi import calls_about
from nexus.api.problems import problem_response, unexpected
from nexus.api.refusals import MethodNotAllowedError, NoSuchCallError
from nexus.api.security import Gate, require
from nexus.api.sql import SqlEndpoint
from nexus.errors import NexusError, WrongRoleError
from nexus.model.cluster import Role
from nexus.model.token import Principal, TokenRole
from nexus.node.network.admittance import Admittance

_CALLS: Final = (
    sql.CALL,
    *replication.CALLS,
    *cluster.CALLS,
    *overview.CALLS,
    *acting.CALLS,
    *changes.CALLS,
    *databases.CALLS,
    *snapshots.CALLS,
    *tokens.CALLS,
    *health.CALLS,
    *metrics.CALLS,
    *hrana.CALLS,
)
CALLS: Final = (*_CALLS, *calls_about(_CALLS))
"""Every call there is."""

MOST_OF_A_PATH: Final = 200
"""Characters of an unknown path that are told back."""


class Application:
    """Serves one node."""

    def __init__(self, node: NodeFacade) -> None:
        self._measures = node.measures
        admittance = Admittance(
            node.config, lambda: node.tokens.known, lambda: node.tokens.in_doubt
        )
        gate = Gate(node.config, admittance)
        bodies = BodyReader(limit=node.config.limits.request_bytes)
        self._forwarder = Forwarder(node)
        self._sql = SqlEndpoint(node, gate, bodies, self._forwarder)
        self._hrana = HranaCalls(node, gate, bodies, self._forwarder)
        routes = [Route(sql.PATH, self._sql, methods=["POST"]), *self._hrana.routes()]
        routes.append(Route(f"{files.PLACE}{{file:path}}", _page_file))
        self._consumers = Consumers()
        self._lookout = Lookout(node)
        context = Context(node, bodies, self._lookout, self._consumers)
        for path, handlers in _handlers().items():
            endpoint = PathEndpoint(handlers, context, gate)
            routes.append(Route(path, endpoint, methods=list(handlers)))
        self._router = Starlette(
            routes=routes, exception_handlers={HTTPException: _no_such_route}
        )
        self._router.router.redirect_slashes = False
        self._named = NamedDatabases(node, Application)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or all of a WebSocket."""
        if scope["path"].startswith(PREFIX):
            await self._named(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._hrana.converse(scope, receive, send)
        elif (
            scope["type"] == "http"
            and scope["path"] == sql.PATH
            and scope["method"] == "POST"
        ):
            await self._sql(scope, receive, send)
        else:
            await self._router(scope, receive, self._counted(send))

    def _counted(self, send: Send) -> Send:
        answered = self._measures.answered

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered(message["status"])
            await send(message)

        return counted

    def stop(self) -> None:
        """End the answers that would go on for ever."""
        self._consumers.stopping.set()
        for named in self._named.opened():
            named.stop()

    def close(self) -> None:
        """Close the streams, and the connections to the master."""
        self._hrana.close()
        self._lookout.close()
        self._forwarder.close()
        for named in self._named.opened():
            named.close()


def _handlers() -> dict[str, dict[str, tuple[Handler, Call]]]:
    by_path: dict[str, dict[str, tuple[Handler, Call]]] = {}
    for call in CALLS:
        if call.handle is not None:
            by_path.setdefault(call.path, {})[call.method] = (call.handle, call)
    return by_path


class PathEndpoint:
    """The calls of one path, by method."""

    def __init__(
        self,
        handlers: Mapping[str, tuple[Handler, Call]],
        context: Context,
        gate: Gate,
    ) -> None:
        self._handlers = handlers
        self._context = context
        self._gate = gate
        self._audit = Audit(context.node)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        handle, call = self._handlers[method]
        try:
            headers, address = dict(scope["headers"]), address_of(scope)
            principal = self._gate.identify(headers, call.role, address)
            scope[ADMITTED] = partial(self._gate.still_admits, principal)
            scope[MAY] = self._gate.role_of(principal)
            request = Request(scope, receive)
            if call.role is TokenRole.ADMIN and call.method != "GET":
                response = await self._act(call.name, handle, principal, request)
            else:
                require(principal, call.role)
                response = await handle(self._context, request)
        except NexusError as error:
            response = problem_response(error, master_url=self._master_url(error))
        except ClientGoneError:
            return
        except Exception:
            await problem_response(unexpected())(scope, receive, send)
            raise
        await response(scope, receive, send)

    async def _act(
        self, name: str, handle: Handler, principal: Principal, request: Request
    ) -> Response:
        """An administrative act; a line tells of it, whatever comes of it."""
        outcome = "cut off"
        try:
            require(principal, TokenRole.ADMIN)
            response = await handle(self._context, request)
            is_done = response.status_code < HTTPStatus.BAD_REQUEST
            outcome = "done" if is_done else f"status {response.status_code}"
        except NexusError as error:
            outcome = error.code
            raise
        finally:
            await self._audit.tell(name, principal, request.scope, outcome)
        return response

    def _master_url(self, error: NexusError) -> str:
        """The node that can, where a master's call came to another one."""
        if not isinstance(error, WrongRoleError):
            return ""
        status = self._context.node.status()
        return "" if status.role is Role.MASTER else status.master_url


async def _page_file(request: Request) -> Response:
    try:
        return await files.page_file(request)
    except NoSuchCallError as error:
        return problem_response(error)


async def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "Starlette calls this for its own errors"
    path = request.url.path[:MOST_OF_A_PATH]
    allowed = (error.headers or {}).get("Allow", "")
    if allowed:
        return problem_response(
            MethodNotAllowedError(
                f"{path} takes {allowed}, not {request.method}", allowed=allowed
            )
        )
    return problem_response(NoSuchCallError(f"there is no call {path}"))
