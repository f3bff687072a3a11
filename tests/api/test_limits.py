"""What one caller may ask, as it is configured."""

import json
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from api.fake_node import FakeNode, client_of
from nexus.api.server import HttpServer, limits_of
from nexus.config import Config, LimitSettings
from nexus.model.token import TokenRole

SELECT = {"statements": [{"sql": "select 1"}]}


def limited(directory: Path, **limits: int) -> FakeNode:
    return FakeNode(directory, Config(limits=LimitSettings(**limits)))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/sql", SELECT),
        ("/v2/pipeline", {"requests": []}),
        ("/replication/stop", {}),
    ],
)
async def test_who_asks_too_often_is_told_when_to_come_back(
    tmp_path: Path, path: str, body: object
) -> None:
    node = limited(tmp_path, requests_per_second=2)
    async with client_of(node) as client:
        answers = [await client.post(path, json=body) for _ in range(4)]
        health = await client.get("/health")

    late = answers[-1]
    assert late.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert late.headers["Retry-After"] == "1"
    assert answers[0].status_code == answers[1].status_code == HTTPStatus.OK
    assert health.status_code == HTTPStatus.OK


async def test_each_token_has_its_own_rate(tmp_path: Path) -> None:
    node = limited(tmp_path, requests_per_second=1)
    texts = [node.tokens.make(TokenRole.READ, str(number)) for number in range(3)]
    async with client_of(node) as client:
        for text in texts:
            headers = {"Authorization": f"Bearer {text}"}
            first = await client.post("/sql", json=SELECT, headers=headers)
            assert first.status_code == HTTPStatus.OK


async def test_a_websocket_is_told_too(tmp_path: Path) -> None:
    node = limited(tmp_path, requests_per_second=1)
    async with (
        HttpServer(node, "127.0.0.1:0") as server,
        connect(
            server.url.replace("http", "ws"),
            subprotocols=[Subprotocol("hrana2")],
            proxy=None,
        ) as connection,
    ):
        await connection.send(json.dumps({"type": "hello", "jwt": None}))
        for number in range(2):
            request = {"type": "open_stream", "stream_id": number}
            ask = {"type": "request", "request_id": number, "request": request}
            await connection.send(json.dumps(ask))
        said = [json.loads(await connection.recv()) for _ in range(3)]

    refused = next(one for one in said if one["type"] == "response_error")
    assert refused["error"]["code"] == "RATE_LIMITED"


async def test_a_request_has_a_most_of_bytes_and_of_statements(tmp_path: Path) -> None:
    node = limited(tmp_path, request_bytes=100, statements=2)
    large = {"statements": [{"sql": "select 1" + " " * 100}]}
    many = {"statements": [{"sql": "--"}] * 3}
    async with client_of(node) as client:
        answers: list[httpx.Response] = [
            await client.post("/sql", json=body) for body in (large, many)
        ]

    for answer in answers:
        assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        assert answer.json()["code"] == "body_too_large"
    assert "limits.statements" in answers[1].text
    assert not node.asked


ONE = {"type": "execute", "stmt": {"sql": "select 1"}}
STEPS = {"steps": [{"stmt": {"sql": "select 1"}}] * 3}
SCRIPT = {"type": "sequence", "sql": "select 1; select 2; select 3"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/sql", {"statements": [{"sql": "select 1"}] * 3}),
        ("/v1/batch", {"batch": STEPS}),
        ("/v2/pipeline", {"requests": [ONE] * 3}),
        ("/v3/pipeline", {"requests": [ONE, {"type": "batch", "batch": STEPS}]}),
        ("/v3/pipeline", {"requests": [SCRIPT]}),
        ("/v3/cursor", {"batch": STEPS}),
    ],
)
async def test_statements_are_counted_at_every_entrance(
    tmp_path: Path, path: str, body: object
) -> None:
    async with client_of(limited(tmp_path, statements=2)) as client:
        refused = await client.post(path, json=body)
    async with client_of(limited(tmp_path, statements=4)) as client:
        answered = await client.post(path, json=body)

    assert refused.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert refused.json()["code"].lower() == "body_too_large"
    assert "more than 2 (limits.statements)" in refused.text
    assert answered.status_code == HTTPStatus.OK


def test_times_and_connections_are_those_of_the_configuration() -> None:
    limits = limits_of(
        LimitSettings(
            connections=7,
            connections_per_address=3,
            head_timeout_ms=500,
            body_timeout_ms=1_500,
            idle_connection_ms=2_500,
        )
    )
    assert (limits.connections, limits.connections_of_address) == (7, 3)
    assert (limits.head_timeout_s, limits.body_timeout_s) == (0.5, 1.5)
    assert (limits.read_timeout_s, limits.keep_alive_s) == (1.5, 2)
