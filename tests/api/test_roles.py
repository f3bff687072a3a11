"""Every role at every call: a table that is made from the calls themselves."""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from api.fake_node import JSON_HEADERS, FakeNode, client_of
from nexus.api.application import CALLS, Application
from nexus.api.calls import Call
from nexus.config import Config
from nexus.model.token import TokenRole, read_token, sha256
from nexus.node.node import Node
from nexus.protocol.calls import Attached, Begin, Failed
from nexus.protocol.messages import Challenge, Error, ErrorCode
from nexus.protocol.proofs import TOKEN_FEATURE, attached_proof, token_proof
from node.builders import Crowd, run
from node.calling import ATTACH, Client, connected

ROLES = (None, *TokenRole)
REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

OPEN = {"/", "/health", "/health/master", "/health/replica", "/metrics", "/ready"}


def test_nobody_is_asked_at_these_alone() -> None:
    assert {call.path for call in CALLS if call.role is None} == OPEN


def test_what_only_tells_something_is_open_to_who_may_read() -> None:
    for_admins = {"/tokens"}  # who has which role is their matter
    for call in CALLS:
        if call.method == "GET" and call.path not in OPEN | for_admins:
            assert call.role is TokenRole.READ, call.path


def test_what_changes_more_than_rows_is_for_admins() -> None:
    for call in CALLS:
        if call.method != "GET" and call.path not in BODIES:
            assert call.role is TokenRole.ADMIN, call.path


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role or "nobody")
@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
async def test_a_call_is_open_to_who_has_its_role(
    tmp_path: Path, call: Call, role: TokenRole | None
) -> None:
    node = FakeNode(tmp_path, Config())
    texts = {one: node.tokens.make(one) for one in TokenRole}
    headers = dict(JSON_HEADERS)
    if role is not None:
        headers["Authorization"] = f"Bearer {texts[role]}"

    application = Application(node)
    application.stop()  # what would go on for ever ends at once
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://n:1") as client:
        answer = await client.request(
            call.method, call.path.replace("{", "%7B"), headers=headers, content=b"{}"
        )

    if call.role is None or (role is not None and role.covers(call.role)):
        assert answer.status_code not in REFUSALS
    elif role is None:
        assert answer.status_code == HTTPStatus.UNAUTHORIZED
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    else:
        assert answer.status_code == HTTPStatus.FORBIDDEN
        assert f"needs the role {call.role}" in answer.text


WRITES = (
    "insert into t values (1)",
    "insert into t values (1) returning v",
    "with a as (select 1) delete from t",
    "create table u(v)",
    "pragma user_version = 5",
    "vacuum",
    "analyze",
    "begin immediate",
    "savepoint s",
    "select 1; drop table t",
)


BODIES: dict[str, Callable[[str], object]] = {
    "/sql": lambda sql: {"statements": [{"sql": sql}]},
    "/v1/execute": lambda sql: {"stmt": {"sql": sql}},
    "/v1/batch": lambda sql: {"batch": {"steps": [{"stmt": {"sql": sql}}]}},
    "/v2/pipeline": lambda sql: {
        "requests": [{"type": "execute", "stmt": {"sql": sql}}]
    },
    "/v3/pipeline": lambda sql: {"requests": [{"type": "sequence", "sql": sql}]},
    "/v3/cursor": lambda sql: {"batch": {"steps": [{"stmt": {"sql": sql}}]}},
}


@pytest.fixture
async def tokens(crowd: Crowd) -> tuple[Node, dict[TokenRole, str]]:
    """A master with a table of one row, and a token of each role."""
    node = await crowd.node("a")
    await run(node, "create table t(v unique)", "insert into t values ('old')")
    roles = reversed(TokenRole)  # an admin's first
    return (
        node,
        {role: (await node.tokens.create(role, role, lasts_s=0))[1] for role in roles},
    )


async def asked(node: Node, token: str, path: str, sql: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    async with client_of(node) as client:
        return await client.post(path, json=BODIES[path](sql), headers=headers)


@pytest.mark.parametrize("sql", WRITES)
@pytest.mark.parametrize("path", BODIES)
async def test_a_token_for_reading_writes_nothing_by_whatever_statement(
    sql: str, path: str, tokens: tuple[Node, dict[TokenRole, str]]
) -> None:
    node, texts = tokens
    before = node.status().wal_offset

    answer = await asked(node, texts[TokenRole.READ], path, sql)

    assert "forbidden" in answer.text.lower() or "SQL_MANY_STATEMENTS" in answer.text
    assert node.status().wal_offset == before


@pytest.mark.parametrize("path", BODIES)
async def test_each_token_reads_and_a_larger_one_writes(
    path: str, tokens: tuple[Node, dict[TokenRole, str]]
) -> None:
    node, texts = tokens
    for role in TokenRole:
        answer = await asked(node, texts[role], path, "select v from t")
        assert answer.status_code == HTTPStatus.OK
        if path != "/v3/pipeline":
            assert "old" in answer.text
    before = node.status().wal_offset
    for role in (TokenRole.WRITE, TokenRole.ADMIN):
        await asked(node, texts[role], path, f"insert into t values ('{role}')")
    assert node.status().wal_offset == before + 2


@pytest.mark.parametrize("sql", WRITES)
async def test_a_client_of_the_port_with_a_token_for_reading_writes_nothing(
    sql: str, tokens: tuple[Node, dict[TokenRole, str]]
) -> None:
    node, texts = tokens
    before = node.status().wal_offset
    async with connected(node) as client:
        await attach_with(client, texts[TokenRole.READ])
        assert await client.rows(1, "select v from t") == [("old",)]
        client.ask(2, sql)
        failed = await client.expect(Failed)
        client.say(Begin(3))
        begun = await client.expect(Failed)

    assert failed.code in ("forbidden", "statement_refused")
    assert begun.code == "forbidden"
    assert node.status().wal_offset == before


async def test_a_client_whose_token_is_revoked_is_cut_off(
    tokens: tuple[Node, dict[TokenRole, str]],
) -> None:
    node, texts = tokens
    token_id = texts[TokenRole.WRITE].split("_")[1]
    async with connected(node) as client:
        await attach_with(client, texts[TokenRole.WRITE])
        await client.done(1, "insert into t values ('new')")

        await node.tokens.revoke(token_id)
        client.ask(2, "insert into t values ('newer')")
        error = await client.expect(Error)

        assert error.code == ErrorCode.UNAUTHORISED
        assert await client.next() is None
    async with connected(node) as client:
        with pytest.raises(AssertionError, match="revoked"):
            await attach_with(client, texts[TokenRole.WRITE])


async def test_where_tokens_exist_a_client_of_the_port_needs_one(
    tokens: tuple[Node, dict[TokenRole, str]],
) -> None:
    node, _ = tokens
    async with connected(node) as client:
        client.say(ATTACH)
        await client.expect(Challenge)
        client.say(ATTACH)
        error = await client.expect(Error)

    assert error.code == ErrorCode.UNAUTHORISED


async def attach_with(client: Client, text: str) -> None:
    """Attach as the library does: with a proof, and the token never told."""
    found = read_token(text)
    assert found is not None
    token_id, secret = found
    attach = replace(ATTACH, features=(TOKEN_FEATURE + token_id,), nonce=b"n" * 16)
    client.say(attach)
    challenge = (await client.expect(Challenge)).nonce
    proven = replace(attach, auth=token_proof(secret, challenge, attach))
    client.say(proven)
    told = await client.expect(Attached)
    expected = attached_proof(sha256(secret), attach.nonce, challenge, told)
    assert told.auth == expected


async def test_a_handshake_that_was_listened_to_is_worth_nothing_again(
    tokens: tuple[Node, dict[TokenRole, str]],
) -> None:
    node, texts = tokens
    found = read_token(texts[TokenRole.ADMIN])
    assert found is not None
    attach = replace(ATTACH, features=(TOKEN_FEATURE + found[0],), nonce=b"n" * 16)
    async with connected(node) as client:
        client.say(attach)
        challenge = (await client.expect(Challenge)).nonce
        proven = replace(attach, auth=token_proof(found[1], challenge, attach))
        client.say(proven)
        await client.expect(Attached)

    for again in ((attach, proven), (proven, proven)):
        async with connected(node) as client:
            client.say(again[0])
            assert (await client.expect(Challenge)).nonce != challenge
            client.say(again[1])
            assert (await client.expect(Error)).code == ErrorCode.UNAUTHORISED
