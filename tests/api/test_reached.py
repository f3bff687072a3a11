"""A node that listens on every address, told of by the address that was dialled."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from api.fake_node import FakeNode, client_of
from nexus.api.lookout import Lookout
from nexus.api.reached import as_reached, host_in, host_of
from nexus.api.watchers import ClusterWatcher
from nexus.config import Config

EVERYWHERE = "http://0.0.0.0:8080"
DIALLED = "http://db1.example:8080"


@pytest.fixture
def everywhere(tmp_path: Path) -> FakeNode:
    """A master that listens on every address, with a replica that does."""
    node = FakeNode(tmp_path, Config(insecure=True, http_addr="0.0.0.0:8080"))
    node.current = replace(node.current, master_url=EVERYWHERE)
    node.named["orders"] = FakeNode(tmp_path)
    node.named["orders"].current = replace(
        node.current, master_url=f"{EVERYWHERE}/databases/orders"
    )
    return node


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/replication/status", None),
        ("POST", "/replication/pause", {}),
        ("POST", "/replication/start", {"role": "master"}),
        ("POST", "/replication/mode", {"mode": "sync"}),
        ("GET", "/cluster/node", None),
        ("GET", "/cluster", None),
        ("GET", "/databases", None),
    ],
)
async def test_no_answer_names_every_address(
    everywhere: FakeNode, method: str, path: str, body: Any
) -> None:
    async with client_of(everywhere, base_url=DIALLED) as client:
        answer = await client.request(method, path, json=body)

    assert answer.status_code == 200, answer.text
    assert DIALLED in answer.text
    assert "0.0.0.0" not in answer.text


async def test_who_watches_the_cluster_is_told_the_address_it_has_dialled(
    everywhere: FakeNode,
) -> None:
    watcher = ClusterWatcher(Lookout(everywhere), host="db1.example")

    told = [await watcher.read() for _ in range(2)]

    assert DIALLED.encode() in b"".join(filter(None, told))
    assert b"0.0.0.0" not in b"".join(filter(None, told))


async def test_the_page_may_talk_to_the_address_that_was_dialled(
    everywhere: FakeNode,
) -> None:
    async with client_of(everywhere, base_url=DIALLED) as client:
        answer = await client.get("/", headers={"Accept": "text/html"})

    assert DIALLED in answer.headers["Content-Security-Policy"]
    assert "0.0.0.0" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("headers", "server", "host"),
    [
        ([(b"host", b"db1:8080")], ("10.0.0.7", 80), "db1"),
        ([(b"host", b"[fe80::1]:8080")], ("10.0.0.7", 80), "fe80::1"),
        ([(b"host", b"evil/<script>")], ("10.0.0.7", 80), "10.0.0.7"),
        ([(b"host", b"\xff")], None, ""),
        ([], ("10.0.0.7", 80), "10.0.0.7"),
    ],
)
def test_the_host_is_the_callers_word_or_where_the_connection_came_in(
    headers: Any, server: Any, host: str
) -> None:
    assert host_in({"headers": headers, "server": server}) == host


def test_a_url_has_a_host_or_none() -> None:
    assert host_of("http://a:1/x") == "a"
    assert host_of("http://[::1]:1") == "::1"
    assert host_of("http://[") == host_of("") == ""


def test_without_a_host_an_answer_is_told_as_it_is(everywhere: FakeNode) -> None:
    assert as_reached(everywhere.current, "").master_url == EVERYWHERE
    assert as_reached({"a": 1}, "b") == {"a": 1}
