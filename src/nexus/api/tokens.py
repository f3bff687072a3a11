"""Calls about the cluster's tokens: make, list, revoke and rotate them."""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from nexus.api.calls import Answer, Call, Context, Parameter, json_response, read_body
from nexus.errors import ClusterChangeError, NotFoundError, WrongRoleError
from nexus.model.token import Token, TokenRole

MOST_SECONDS: Final = 10 * 365 * 86_400

Name = Annotated[
    str,
    msgspec.Meta(
        max_length=100,
        # Python's `$` stands before a line's end, too.
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$(?!\n)",
    ),
]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=MOST_SECONDS)]


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /tokens."""

    role: TokenRole
    name: Name = ""
    """What it is for; shown in lists and logs."""
    expires_s: Seconds = 0
    """It is good for so many seconds; 0: until it is revoked."""


class RotateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /tokens/{id}/rotate."""

    grace_s: Seconds = 0
    """The old token is good for so many seconds more; 0: no longer."""


class TokenView(msgspec.Struct, frozen=True):
    """What a node knows of a token; never its secret."""

    id: str
    name: str
    role: TokenRole
    created_at: str
    expires_at: str | None
    """null: it is good until it is revoked."""

    @classmethod
    def of(cls, token: Token) -> "TokenView":
        """The token for people."""
        expires = _when(token.expires_us) if token.expires_us else None
        created = _when(token.created_us)
        return cls(token.id, token.name, token.role, created, expires)


class NewToken(msgspec.Struct, frozen=True):
    """A token, told once."""

    token: str
    """What its bearer sends; nobody can tell it again."""
    about: TokenView


class TokenList(msgspec.Struct, frozen=True):
    """GET /tokens: the oldest first."""

    tokens: list[TokenView]


def _when(time_us: int) -> str:
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    return moment.isoformat(timespec="seconds")


async def _list(context: Context, _request: Request) -> Response:
    known = context.node.tokens.known.values()
    return json_response(TokenList([TokenView.of(token) for token in known]))


async def _create(context: Context, request: Request) -> Response:
    wish = await read_body(context, request, TokenRequest)
    made = await context.node.tokens.create(
        wish.role, wish.name, lasts_s=wish.expires_s
    )
    return _told_once(*made)


async def _revoke(context: Context, request: Request) -> Response:
    token = await context.node.tokens.revoke(request.path_params["id"])
    return json_response(TokenView.of(token))


async def _rotate(context: Context, request: Request) -> Response:
    wish = await read_body(context, request, RotateRequest)
    token_id = request.path_params["id"]
    made = await context.node.tokens.rotate(token_id, grace_s=wish.grace_s)
    return _told_once(*made)


def _told_once(token: Token, text: str) -> Response:
    response = json_response(NewToken(text, TokenView.of(token)))
    response.headers["Cache-Control"] = "no-store"
    return response


_ID: Final = (Parameter("id", "path", {"type": "string"}, "The token's id."),)

CALLS: Final = (
    Call(
        "GET",
        "/tokens",
        "tokens",
        "Every token of the cluster, without its secret.",
        {200: Answer("The tokens.", TokenList)},
        _list,
    ),
    Call(
        "POST",
        "/tokens",
        "create_token",
        "Make a token; its text is shown this once. On the master.",
        {200: Answer("The token.", NewToken)},
        _create,
        body=TokenRequest,
        body_required=True,
        problems=(ClusterChangeError, WrongRoleError),
    ),
    Call(
        "DELETE",
        "/tokens/{id}",
        "revoke_token",
        "Revoke a token on every node. On the master.",
        {200: Answer("What it was.", TokenView)},
        _revoke,
        parameters=_ID,
        problems=(ClusterChangeError, NotFoundError, WrongRoleError),
    ),
    Call(
        "POST",
        "/tokens/{id}/rotate",
        "rotate_token",
        "Replace a token by a new one; the old ends now or soon. On the master.",
        {200: Answer("The new token.", NewToken)},
        _rotate,
        body=RotateRequest,
        parameters=_ID,
        problems=(ClusterChangeError, NotFoundError, WrongRoleError),
    ),
)
