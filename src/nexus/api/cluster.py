"""Calls about a cluster that elects: its members, its maintenance, its next master."""

from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from nexus.api.calls import (
    Answer,
    Call,
    Context,
    Parameter,
    json_response,
    read_body,
    reading,
)
from nexus.api.reached import as_reached, reached_by
from nexus.errors import ClusterChangeError, WrongRoleError
from nexus.model.cluster import MembersView, Mode, NodeStatus
from nexus.node.operators.governing import Handover

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class SwitchoverRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /replication/switchover."""

    to: Name
    """The voter's node id that reigns next."""


class MemberRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /cluster/members."""

    node_id: Name
    """Of a node that follows this master."""
    address: str = ""
    """Its HOST:PORT for other nodes; empty: as it is connected now."""


class MaintenanceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /cluster/maintenance."""

    enabled: bool
    """True: nobody stands for election by itself, until it is false again."""


class ModeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /replication/mode."""

    mode: Mode
    """What an acknowledgement means from now on, whoever reigns."""
    sync_quorum: Annotated[int, msgspec.Meta(ge=0, le=1_000)] | None = None
    """Voters that must hold a write in sync mode; 0: a majority; null: as it is."""


async def _switchover(context: Context, request: Request) -> Response:
    wish = await read_body(context, request, SwitchoverRequest)
    return json_response(await context.node.switch_over(wish.to))


async def _members(context: Context, _request: Request) -> Response:
    return json_response(context.node.members())


async def _add_member(context: Context, request: Request) -> Response:
    wish = await read_body(context, request, MemberRequest)
    return json_response(await context.node.add_voter(wish.node_id, wish.address))


async def _remove_member(context: Context, request: Request) -> Response:
    return json_response(await context.node.remove_voter(request.path_params["id"]))


async def _mode(context: Context, request: Request) -> Response:
    wish = await read_body(context, request, ModeRequest)
    status = await context.node.set_mode(wish.mode, wish.sync_quorum)
    return json_response(as_reached(status, reached_by(request)))


async def _maintenance(context: Context, request: Request) -> Response:
    wish = await read_body(context, request, MaintenanceRequest)
    changed = await context.node.set_auto_failover(enabled=not wish.enabled)
    return json_response(changed)


_PROBLEMS: Final = (WrongRoleError, ClusterChangeError)
_MEMBERS: Final = {200: Answer("The configuration in force.", MembersView)}

CALLS: Final = (
    Call(
        "POST",
        "/replication/switchover",
        "switchover",
        "Hand over to another voter; nothing is lost, and this node follows it.",
        {200: Answer("Who reigns now, and how long it took.", Handover)},
        _switchover,
        body=SwitchoverRequest,
        body_required=True,
        problems=_PROBLEMS,
    ),
    reading(
        "/cluster/members",
        "members",
        "Who votes in this cluster, as the log says.",
        _MEMBERS,
        _members,
        problems=(WrongRoleError,),
    ),
    Call(
        "POST",
        "/cluster/members",
        "add_member",
        "Make a voter of a replica of this master.",
        _MEMBERS,
        _add_member,
        body=MemberRequest,
        body_required=True,
        problems=_PROBLEMS,
    ),
    Call(
        "DELETE",
        "/cluster/members/{id}",
        "remove_member",
        "Take the vote of a voter, dead or alive.",
        _MEMBERS,
        _remove_member,
        parameters=(
            Parameter("id", "path", {"type": "string"}, "The voter's node id."),
        ),
        problems=_PROBLEMS,
    ),
    Call(
        "POST",
        "/replication/mode",
        "mode",
        "Switch between async and sync mode, by an entry of the log.",
        {200: Answer("The state of the node now.", NodeStatus)},
        _mode,
        body=ModeRequest,
        body_required=True,
        problems=_PROBLEMS,
    ),
    Call(
        "POST",
        "/cluster/maintenance",
        "maintenance",
        "Begin or end maintenance, in which nothing replaces a dead master by itself.",
        _MEMBERS,
        _maintenance,
        body=MaintenanceRequest,
        body_required=True,
        problems=_PROBLEMS,
    ),
)
