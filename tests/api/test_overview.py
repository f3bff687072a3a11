"""The calls about all nodes at once."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from api.company import PATIENCE_S, company
from api.fake_node import FakeNode, client_of
from nexus.api.server import HttpServer
from nexus.model.token import TokenRole


async def test_every_node_tells_the_whole_cluster(tmp_path: Path) -> None:
    async with company(tmp_path) as both:
        for client in (both.at_master, both.at_replica):
            seen = (await client.get("/cluster")).json()
            assert [node["node_id"] for node in seen["nodes"]] == ["n1", "r1"]


async def test_with_tokens_and_no_secret_a_viewers_token_opens_the_other_nodes(
    tmp_path: Path,
) -> None:
    async with company(tmp_path) as both:
        token = both.master.tokens.make(TokenRole.READ)
        both.replica.tokens.known.update(both.master.tokens.known)
        bearer = {"Authorization": f"Bearer {token}"}
        for client in (both.at_master, both.at_replica):
            assert (await client.get("/cluster")).status_code == 401
            listed = (await client.get("/cluster", headers=bearer)).json()
            path = "/cluster/events"
            async with client.stream("GET", path, headers=bearer) as answer:
                lines = answer.aiter_lines()
                while (await anext(lines)) != "event: looked":
                    pass
            assert [node["error"] for node in listed["nodes"]] == ["", ""]


async def test_whoever_asks_is_told_what_they_may_do(node: FakeNode) -> None:
    async with client_of(node) as client:
        assert (await client.get("/cluster")).json()["may"] == "admin"
        for role in TokenRole:
            bearer = {"Authorization": f"Bearer {node.tokens.make(role)}"}
            seen = (await client.get("/cluster", headers=bearer)).json()
            assert seen["may"] == role


async def test_what_lets_nobody_in_is_shown_to_no_other_node(tmp_path: Path) -> None:
    async with company(tmp_path) as both:
        other = both.replica.tokens.make(TokenRole.READ)
        for given in ("Bearer no-token", f"Basic {other}"):
            seen = await both.at_master.get(
                "/cluster", headers={"Authorization": given}
            )
            by_id = {node["node_id"]: node for node in seen.json()["nodes"]}
            assert "lives, and refuses its figures (401" in by_id["r1"]["error"]
            assert by_id["r1"]["refuses"]


async def test_a_nodes_figures_are_one_answer(node: FakeNode) -> None:
    node.events.info("paused", "")
    async with client_of(node) as client:
        told = (await client.get("/cluster/node")).json()
        status = (await client.get("/replication/status")).json()
        newer = f"/cluster/node?events_since={told['events'][0]['id']}"
        assert (await client.get(newer)).json()["events"] == []

    assert told["status"] == status
    assert told["events"][0]["kind"] == "paused"


async def test_events_are_a_list_or_a_stream(node: FakeNode) -> None:
    node.events.info("paused", "by hand")
    (event,) = node.events.since(0)
    async with (
        HttpServer(node, "127.0.0.1:0") as server,
        httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S) as client,
    ):
        listed = (await client.get("/events")).json()
        accept = {"Accept": "text/event-stream"}
        async with client.stream("GET", "/events", headers=accept) as answer:
            lines = answer.aiter_lines()
            first = [await anext(lines) for _ in range(4)]
        after = {**accept, "Last-Event-ID": str(event.id)}
        node.events.info("resumed", "")
        async with client.stream("GET", "/events", headers=after) as answer:
            resumed = [line async for line in _until_data(answer)]

    assert listed["events"][0]["detail"] == "by hand"
    assert first == ["retry: 1000", "", f"id: {event.id}", "event: happened"]
    assert '"resumed"' in resumed[-1]


async def _until_data(answer: httpx.Response) -> AsyncIterator[str]:
    async for line in answer.aiter_lines():
        yield line
        if line.startswith("data:"):
            return


async def test_the_cluster_is_watched_as_a_stream(tmp_path: Path) -> None:
    async with company(tmp_path) as both:
        seen: list[str] = []
        async with both.at_replica.stream("GET", "/cluster/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                if line.startswith("event:"):
                    seen.append(line.partition(" ")[2])
                if seen[-1:] == ["looked"]:
                    break

    assert seen[0] == "cluster"
    assert "node" in seen
