"""/databases/NAME/…: every call of the API, for one named database."""

from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from api.fake_node import FakeNode, client_of
from nexus.api.application import Application

STATEMENTS = {"statements": [{"sql": "select 1"}]}


@pytest.fixture
def orders(node: FakeNode, tmp_path: Path) -> FakeNode:
    """The node of a named database beside `node`."""
    (tmp_path / "orders").mkdir()
    node.named["orders"] = FakeNode(tmp_path / "orders", replica=True)
    return node.named["orders"]


async def test_its_calls_are_answered_by_its_own_node(
    node: FakeNode, orders: FakeNode
) -> None:
    async with client_of(node) as client:
        main = await client.get("/replication/status")
        named = await client.get("/databases/orders/replication/status")
        again = await client.get("/databases/orders/replication/status")
        written = await client.post("/databases/orders/sql", json=STATEMENTS)

    assert main.json()["role"] == "master"
    assert named.json()["role"] == again.json()["role"] == "replica"
    assert written.status_code == 200
    assert len(orders.asked) == 1
    assert node.asked == []


async def test_all_of_them_are_listed_with_the_path_of_their_calls(
    node: FakeNode, orders: FakeNode
) -> None:
    async with client_of(node) as client:
        listed = (await client.get("/databases")).json()["databases"]
        within = (await client.get("/databases/orders/databases")).json()

    assert [(one["name"], one["path"], one["role"]) for one in listed] == [
        ("orders", "/databases/orders", "replica")
    ]
    assert listed[0]["master_url"] == orders.status().master_url
    assert within == {"databases": []}


@pytest.mark.parametrize(
    "path",
    ["nope/sql", "nope", "", "orders%00/sql", "..%2F..%2Fetc/sql", "or'\"ders/sql"],
)
async def test_a_name_that_there_is_not_is_told_beside_those_that_there_are(
    node: FakeNode, orders: FakeNode, path: str
) -> None:
    assert orders.asked == []
    async with client_of(node) as client:
        answer = await client.get(f"/databases/{path}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "(named ones: orders)" in answer.json()["detail"]


async def test_a_call_that_there_is_not_is_told_as_anywhere(
    node: FakeNode, orders: FakeNode
) -> None:
    assert orders.asked == []
    async with client_of(node) as client:
        answer = await client.get("/databases/orders/nothing%2F%C3%A9")

    assert answer.status_code == 404
    assert "no call /nothing/é" in answer.json()["detail"]


async def test_a_websocket_to_no_database_is_closed(node: FakeNode) -> None:
    told: list[Message] = []

    async def send(message: Message) -> None:
        told.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    scope: dict[str, Any] = {"type": "websocket", "path": "/databases/nope/v3"}
    await Application(node)(scope, receive, send)

    assert [one["type"] for one in told] == ["websocket.close"]


async def test_they_end_with_the_main_one(node: FakeNode, orders: FakeNode) -> None:
    orders.feed_stays = True
    application = Application(node)
    client = client_of(node)
    await client.get("/databases/orders/health")

    application.stop()
    application.close()

    assert orders.asked == []
    await client.aclose()


@pytest.mark.usefixtures("orders")
async def test_a_browser_is_sent_where_the_pages_own_files_are(node: FakeNode) -> None:
    async with client_of(node) as client:
        asked = await client.get("/databases/orders", headers={"Accept": "text/html"})
        page = await client.get("/databases/orders/", headers={"Accept": "text/html"})
        listed = await client.get(
            "/databases/orders", headers={"Accept": "application/json"}
        )

    assert (asked.status_code, asked.headers["location"]) == (307, "orders/")
    assert page.headers["content-type"].startswith("text/html")
    assert listed.json()["calls"]


@pytest.mark.usefixtures("orders")
async def test_what_is_logged_of_a_call_names_its_database(node: FakeNode) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        async with client_of(node) as client:
            await client.post("/databases/orders/replication/resume")
            await client.post("/replication/resume")

    named, main = lines
    assert (named["event"], named["database"]) == ("audit", "orders")
    assert "database" not in main
