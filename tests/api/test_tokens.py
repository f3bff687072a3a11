import pytest

from api.fake_node import JSON_HEADERS, FakeNode, client_of
from nexus.model.token import TokenRole, read_token


async def test_a_token_is_made_listed_and_told_once(node: FakeNode) -> None:
    async with client_of(node) as client:
        made = await client.post("/tokens", json={"role": "admin", "name": "ops"})
        told = made.json()
        headers = {"Authorization": f"Bearer {told['token']}"}
        listed = await client.get("/tokens", headers=headers)

    assert read_token(told["token"])
    assert made.headers["cache-control"] == "no-store"
    assert told["about"]["role"] == "admin"
    assert told["about"]["expires_at"] is None
    assert listed.json() == {"tokens": [told["about"]]}
    assert "sha256" not in listed.text


async def test_a_token_may_expire(node: FakeNode) -> None:
    async with client_of(node) as client:
        made = await client.post("/tokens", json={"role": "read", "expires_s": 60})
    assert made.json()["about"]["expires_at"] == "2096-10-02T07:06:40+00:00"


async def test_a_token_is_rotated_and_revoked(node: FakeNode) -> None:
    headers = {"Authorization": f"Bearer {node.tokens.make(TokenRole.ADMIN)}"}
    node.tokens.make(TokenRole.READ, "old")
    async with client_of(node) as client:
        client.headers.update(headers)
        rotated = await client.post("/tokens/0000000002/rotate", json={"grace_s": 5})
        revoked = await client.delete(f"/tokens/{rotated.json()['about']['id']}")
        missing = await client.delete("/tokens/0000000002")

    assert rotated.json()["about"]["name"] == "old"
    assert revoked.json()["role"] == "read"
    assert missing.status_code == 404
    assert missing.json()["code"] == "not_found"


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"role": "root"}',
        b'{"role": "read", "expires_s": -1}',
        b'{"role": "read", "expires_s": 1000000000000}',
        b'{"role": "read", "name": "a\\nb"}',
        b'{"role": "read", "name": "a\\n"}',
        b'{"role": "read", "name": "a\\u0000b"}',
        b'{"role": "read", "name": "' + b"x" * 101 + b'"}',
        b'{"role": "read", "token": "mine"}',
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(
    node: FakeNode, body: bytes
) -> None:
    async with client_of(node) as client:
        answer = await client.post("/tokens", content=body, headers=JSON_HEADERS)
    assert answer.status_code == 400
    assert not node.tokens.known


async def test_only_the_master_makes_tokens(replica: FakeNode) -> None:
    async with client_of(replica) as client:
        answer = await client.post("/tokens", json={"role": "admin"})
    assert answer.status_code == 409
    assert answer.json()["master_url"] == "http://master:15474"
