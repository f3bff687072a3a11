"""Hrana over HTTP on a replica: what writes is the master's."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from api.fake_master import listening
from api.fake_node import FakeNode
from api.hrana.talk import CLOSE, Talk, execute, stmt, talk_to
from nexus.api.server import HttpServer
from nexus.node.node import Node
from node.builders import count, run

INSERT = "insert into t(v) values (1)"


@pytest.fixture
async def talk(replica: FakeNode, server: HttpServer) -> AsyncIterator[Talk]:
    """A client of a replica of it."""
    replica.node_id = "n2"
    replica.current = msgspec.structs.replace(replica.current, master_url=server.url)
    async with talk_to(replica) as talk:
        yield talk


def is_there(talk: Talk) -> bool:
    """Whether the master keeps the stream."""
    return talk.baton is not None and not talk.baton.startswith("n2.")


async def test_a_stream_that_reads_stays_here(talk: Talk) -> None:
    assert await talk.rows("select 'here'") == [["1", "x"]]

    assert not is_there(talk)


async def test_a_stream_that_writes_moves_to_the_master_with_its_texts(
    node: Node, talk: Talk
) -> None:
    await talk.say({"type": "store_sql", "sql_id": 1, "sql": INSERT})
    assert not is_there(talk)
    stored = {"type": "execute", "stmt": {"sql_id": 1}}
    await talk.say(execute("begin"), stored)
    assert is_there(talk)
    await talk.say(execute("commit"), CLOSE)

    assert await count(node) == 1
    assert talk.baton is None


async def test_a_cursor_that_writes_is_the_masters(node: Node, talk: Talk) -> None:
    here = await talk.cursor({"stmt": stmt("select 1")})
    assert not is_there(talk)
    there = await talk.cursor({"stmt": stmt(f"{INSERT} returning v")})
    assert is_there(talk)
    again = await talk.cursor({"stmt": stmt("select v from t")})

    assert len(here) == 3
    assert there[1] == again[1]
    assert await count(node) == 1


async def test_the_calls_of_the_first_version_are_passed_on(
    node: Node, talk: Talk
) -> None:
    await talk.post("/v1/execute", {"stmt": stmt(INSERT)})
    steps = [{"stmt": stmt("insert into t(v) values (2)")}]
    await talk.post("/v1/batch", {"batch": {"steps": steps}})
    here = await talk.post("/v1/execute", {"stmt": stmt("select 1")})

    assert await count(node) == 2
    assert here.json()["result"]["rows"][0][1] == {"type": "text", "value": "x"}


async def test_without_its_master_a_write_is_refused_and_a_read_is_not(
    replica: FakeNode, talk: Talk
) -> None:
    replica.current = msgspec.structs.replace(
        replica.current, master_url="http://127.0.0.1:9"
    )
    refused = await talk.post("/v2/pipeline", {"requests": [execute(INSERT)]})

    assert (refused.status_code, refused.json()["code"]) == (503, "NO_MASTER")
    assert "Retry-After" in refused.headers
    assert await talk.rows("select 1") == [["1", "x"]]


async def test_a_stream_of_a_master_that_is_none_any_more_has_expired(
    node: Node, talk: Talk
) -> None:
    await talk.say(execute("begin"))
    body: dict[str, Any] = {"baton": talk.baton, "requests": []}
    async with talk_to(node) as other:
        answer = await other.post("/v3/pipeline", body)

    assert (answer.status_code, answer.json()["code"]) == (404, "STREAM_EXPIRED")
    await run(node, "select 1")


async def test_a_cursor_that_the_master_refuses_is_refused(talk: Talk) -> None:
    await talk.say(execute("begin"))
    steps: list[Any] = []
    body = {"baton": f"{talk.baton}0", "batch": {"steps": steps}}
    refused = await talk.post("/v3/cursor", body)

    assert (refused.status_code, refused.json()["code"]) == (404, "STREAM_EXPIRED")


async def test_where_a_cursor_breaks_off_its_last_line_says_so(
    replica: FakeNode, talk: Talk
) -> None:
    begun = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n"
        b'{"baton": null, "base_url": null}\n'
        b'{"type": "step_begin", "step": 0, "cols": []}\n{"type": "ro'
    )
    async with listening(begun) as master:
        replica.current = msgspec.structs.replace(
            replica.current, master_url=master.url
        )
        reading = asyncio.create_task(talk.cursor({"stmt": stmt(INSERT)}))
        await master.arrived.wait()
        master.connections[0].close()
        *whole, last = await reading

    assert [entry["type"] for entry in whole] == ["step_begin"]
    assert (last["type"], last["error"]["code"]) == ("error", "OUTCOME_UNKNOWN")
