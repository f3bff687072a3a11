"""What an operator has any node of the cluster do, ordered at one of them."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from nexus.api import cluster, replication, snapshots
from nexus.api.calls import Answer, Call, Context, Handler, Parameter
from nexus.api.forward import passed_back
from nexus.api.peers import ACT, Peers, PeerSilentError
from nexus.api.refusals import AnswerLostError
from nexus.api.security import FORWARDED_BY
from nexus.errors import NotFoundError, RequestError

ACTIONS: Final = {
    call.path.rpartition("/")[2]: call
    for call in (*cluster.CALLS, *replication.CALLS, *snapshots.CALLS)
    if call.method == "POST"
    and call.name
    in ("switchover", "promote", "pause", "resume", "make_snapshot", "maintenance")
}
"""By the last part of their path."""


async def _act(context: Context, request: Request) -> Response:
    node_id, action = request.path_params["id"], request.path_params["action"]
    call = ACTIONS.get(action)
    if call is None:
        raise RequestError(f"action = {action[:40]!r}; it is one of {_names()}")
    if node_id == context.node.node_id:
        return await _handler_of(call)(context, request)
    url = await _url_of(context, node_id)
    headers = dict(request.scope["headers"])
    if FORWARDED_BY in headers:
        raise NotFoundError(f"this node is {context.node.node_id}, not {node_id}")
    body = await context.bodies.read(headers, request.receive)
    peers = Peers(context.node, ACT)
    try:
        answer = await peers.post(url, call.path, bytes(body) or b"{}", headers)
    except PeerSilentError as error:
        raise AnswerLostError(
            f"{node_id} was told to {action}, and no answer came ({error}): it may be "
            "done or not; see how the cluster fares"
        ) from error
    finally:
        context.bodies.release(body)
        peers.close()
    return passed_back(answer)


def _handler_of(call: Call) -> Handler:
    assert call.handle is not None, "these calls are plain handlers"
    return call.handle


async def _url_of(context: Context, node_id: str) -> str:
    found = context.lookout.url_of(node_id)
    if not found:
        await context.lookout.look()
        found = context.lookout.url_of(node_id)
    if not found:
        raise NotFoundError(
            f"no node {node_id[:80]!r} is in view from here, or nobody has said where "
            "its API is; see GET /cluster"
        )
    return found


def _names() -> str:
    return ", ".join(sorted(ACTIONS))


CALLS: Final = (
    Call(
        "POST",
        "/cluster/nodes/{id}/{action}",
        "act",
        "Make a node of this cluster carry out a call of its own API.",
        {200: Answer("What that node answered.")},
        _act,
        parameters=(
            Parameter("id", "path", {"type": "string"}, "The node's id."),
            Parameter(
                "action",
                "path",
                {"type": "string", "enum": sorted(ACTIONS)},
                "The last part of that call's path; the body is its body.",
            ),
        ),
        problems=(NotFoundError, AnswerLostError),
    ),
)
