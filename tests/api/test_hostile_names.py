"""Names that no honest caller sends, everywhere a name is taken: none does any harm."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest

from api.fake_node import client_of
from nexus.api.application import CALLS
from nexus.api.calls import Call
from nexus.node.node import Node
from node.builders import Crowd, crowd_in, run

NAMES: Final = (
    "..",
    "../..",
    "../../../etc/passwd",
    "/etc/passwd",
    "a'b",
    'a"b',
    "'; drop table t; --",
    "a\nb",
    "a\r\nX-Injected: 1",
    "\0",
    "a\0.db",
    "%00",
    "%2e%2e%2f",
    "x" * 10_000,
    "\u202e\u2028",
    "${jndi:ldap://a}",
    "{id}",
    "-",
    " ",
)
WITH_A_NAME: Final = [
    call for call in CALLS if any(p.where == "path" for p in call.parameters)
]
BODIES: Final[dict[str, tuple[str, ...]]] = {
    "/replication/switchover": ("to",),
    "/replication/pause": ("replica",),
    "/replication/resume": ("replica",),
    "/cluster/members": ("node_id", "address"),
    "/replication/mode": ("mode",),
    "/replication/start": ("master_addr", "role"),
    "/tokens": ("role", "name"),
}
QUERIES: Final = ("since", "from", "table", "until", "limit", "follow", "format")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with crowd_in(tmp_path) as crowd:
        yield await made(crowd)


async def made(crowd: Crowd) -> Node:
    node = await crowd.node("node")
    await run(node, "create table t(v)", "insert into t values (1)")
    return node


async def harmless(node: Node, files: set[Path], answer: httpx.Response) -> None:
    """Nothing failed, nothing was injected, nothing lies where nothing was."""
    assert answer.status_code < 500, answer.text
    assert "x-injected" not in answer.headers
    assert len(answer.content) < 5_000, "what was sent is not told back at length"
    assert files_of(node) <= files
    assert node.status().role == "master"


def files_of(node: Node) -> set[Path]:
    """Those beside the data directory, too; snapshots and logs aside."""
    found = node.config.data_dir.parent.rglob("*")
    return {path for path in found if path.suffix not in (".wal", ".zst", ".json")}


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_a_hostile_name_in_a_path_does_no_harm(node: Node, name: str) -> None:
    files = files_of(node)
    async with client_of(node) as client:
        for call in WITH_A_NAME:
            path = filled(call, quote(name, safe=""))
            answer = await client.request(call.method, path)
            assert answer.status_code in (400, 404, 405, 409), (path, answer.text)
            await harmless(node, files, answer)


def filled(call: Call, name: str) -> str:
    path = call.path
    for parameter in call.parameters:
        path = path.replace(f"{{{parameter.name}}}", name)
    return path


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_a_hostile_name_in_a_query_does_no_harm(node: Node, name: str) -> None:
    files = files_of(node)
    async with client_of(node) as client:
        for parameter in QUERIES:
            asked = {"follow": "false", parameter: name}
            await harmless(node, files, await client.get("/changes", params=asked))
        ready = await client.get("/ready", params={"max_lag": name})
        await harmless(node, files, ready)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_a_hostile_name_in_a_body_does_no_harm(node: Node, name: str) -> None:
    files = files_of(node)
    async with client_of(node) as client:
        for path, fields in BODIES.items():
            for field in fields:
                body: dict[str, Any] = {**HONEST.get(path, {}), field: name}
                answer = await client.post(path, json=body)
                if path != "/tokens" and field != "master_addr":  # a master has none
                    assert answer.is_client_error, (path, field, answer.text)
                await harmless(node, files, answer)
        for known in list(node.tokens.known):
            await node.tokens.revoke(known)


HONEST: Final = {
    "/cluster/members": {"node_id": "n2"},
    "/replication/start": {"role": "master"},
    "/tokens": {"role": "admin"},
}
