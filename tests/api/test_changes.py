"""GET /changes: what is asked of the node, and in which form it is told."""

import base64
import json
from typing import Any

import httpx
import pytest

from api.fake_node import FakeNode, client_of
from nexus.errors import ChangesGoneError, PositionLostError
from nexus.model.change import Change, Place
from nexus.model.position import Offset
from nexus.node.reading.changes import NO_LIMIT, Wish

INSERT = Change(
    op="insert",
    id="2:9@h2",
    epoch=2,
    offset=9,
    index=0,
    last=True,
    timestamp_us=17,
    table="t",
    key={"id": 2**63 - 1},
    new={"id": 2**63 - 1, "b": b"\0\xff", "f": float("-inf"), "t": "é", "n": None},
)
BEAT = Change(op="heartbeat", id="2:10@h2", epoch=2, offset=10)


async def asked(node: FakeNode, query: str, **headers: str) -> Wish:
    """What the node is asked for."""
    async with client_of(node) as client:
        answer = await client.get(f"/changes{query}", headers=headers)
    assert answer.status_code == 200
    wish = node.asked[-1]
    assert isinstance(wish, Wish)
    return wish


async def answered(node: FakeNode, query: str = "", **headers: str) -> httpx.Response:
    async with client_of(node) as client:
        return await client.get(f"/changes{query}", headers=headers)


@pytest.mark.parametrize(
    ("query", "since"),
    [
        ("", None),
        ("?from=1", "0"),
        ("?from=8", "7"),
        ("?since=7", "7"),
        ("?since=2:9@h2", "2:9@h2"),
        ("?since=2:9@h2/4", "2:9@h2/4"),
        ("?since=2:9@h2&from=3", "2:9@h2"),
    ],
)
async def test_a_consumer_says_where_to_begin(
    node: FakeNode, query: str, since: str | None
) -> None:
    wish = await asked(node, query)

    assert wish.since == (None if since is None else Place.parse(since))


async def test_a_browser_that_reconnects_goes_on_where_it_was(node: FakeNode) -> None:
    wish = await asked(node, "?from=1", **{"Last-Event-ID": "2:9@h2/1"})

    assert wish.since == Place.parse("2:9@h2/1")


async def test_filters_and_ends_are_passed_on(node: FakeNode) -> None:
    wish = await asked(
        node, "?table=T&table=u&until=20&limit=5&follow=false&heartbeat_ms=500"
    )

    assert wish == Wish(
        tables=frozenset({"t", "u"}),
        until=Offset(20),
        limit=5,
        follow=False,
        heartbeat_s=0.5,
    )
    assert (await asked(node, "")).limit == NO_LIMIT


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?since=x", "no place like"),
        ("?since=" + "1" * 19, "no number"),
        ("?since=1:2@" + "h" * 200, "at most 200 characters"),
        ("?from=0", "the first entry is 1"),
        ("?from=-1", "whole number"),
        ("?table=", "one table's name"),
        ("?" + "table=a&" * 101, "at most 100"),
        ("?follow=1", "true or false"),
        ("?format=xml", "sse or ndjson"),
        ("?sinse=4", "'sinse' is no parameter; there are follow, format, from, "),
        ("?heartbeat_ms=1", "from 100 to 60000"),
        ("?limit=x", "whole number"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(
    node: FakeNode, query: str, told: str
) -> None:
    answer = await answered(node, query)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert told in answer.json()["detail"]
    assert node.asked == []


async def test_a_change_is_a_line_of_json_without_loss(node: FakeNode) -> None:
    node.feed = [INSERT, BEAT]

    answer = await answered(node)

    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert "Content-Length" not in answer.headers
    insert, beat = map(json.loads, answer.text.splitlines())
    assert insert["new"] == {
        "id": 2**63 - 1,
        "b": {"$blob": "AP8="},
        "f": {"$float": "-Infinity"},
        "t": "é",
        "n": None,
    }
    assert (insert["index"], insert["last"]) == (0, True)
    assert "old" not in insert
    assert beat == {"op": "heartbeat", "id": "2:10@h2", "epoch": 2, "offset": 10}


async def test_text_that_is_not_utf8_travels_as_bytes(node: FakeNode) -> None:
    node.feed = [Change(op="delete", id="1", epoch=1, offset=1, old={"a": "x\udcff"})]

    (line,) = map(json.loads, (await answered(node)).text.splitlines())

    assert line["old"] == {"a": {"$text": base64.b64encode(b"x\xff").decode()}}


@pytest.mark.parametrize(
    ("query", "headers"),
    [("", {"Accept": "text/event-stream"}), ("?format=sse", {})],
)
async def test_a_change_is_an_event_with_its_id(
    node: FakeNode, query: str, headers: dict[str, str]
) -> None:
    node.feed = [INSERT, BEAT]

    answer = await answered(node, query, **headers)

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    retry, insert, beat, end = answer.text.split("\n\n")
    assert retry == "retry: 1000"
    name, data = insert.split("\n")
    assert name == "id: 2:9@h2"
    assert json.loads(data.removeprefix("data: "))["table"] == "t"
    assert (beat, end) == ("id: 2:10@h2", "")


@pytest.mark.parametrize("form", ["ndjson", "sse"])
async def test_what_ends_a_stream_is_told_in_it(node: FakeNode, form: str) -> None:
    node.feed = [INSERT]
    node.feed_end = ChangesGoneError("too slow", oldest_offset=70)

    answer = await answered(node, f"?format={form}")

    last = answer.text.rstrip("\n").split("\n")[-1]
    problem: dict[str, Any] = json.loads(last.removeprefix("data: "))
    assert (problem["op"], problem["status"]) == ("problem", 410)
    assert (problem["code"], problem["oldest_offset"]) == ("changes_gone", 70)
    assert ("event: problem\n" in answer.text) is (form == "sse")


async def test_where_nobody_can_go_on_is_a_problem_with_the_mend(
    node: FakeNode,
) -> None:
    node.error = PositionLostError("taken back", resume_from="1:5@h1")

    lost = await answered(node, "?since=1:9@h1")
    node.error = ChangesGoneError("dropped", oldest_offset=70)
    gone = await answered(node, "?from=1")

    assert (lost.status_code, lost.json()["resume_from"]) == (409, "1:5@h1")
    assert (gone.status_code, gone.json()["oldest_offset"]) == (410, 70)


async def test_a_look_at_the_head_reads_nothing(node: FakeNode) -> None:
    node.feed_stays = True
    async with client_of(node) as client:
        answer = await client.head("/changes")

    assert (answer.status_code, answer.text) == (200, "")
