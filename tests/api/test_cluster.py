"""What operators change of a cluster that elects."""

from typing import Any

import pytest

from api.fake_node import FakeNode, client_of
from nexus.errors import ClusterChangeError


@pytest.mark.parametrize(
    ("method", "path", "body", "asked"),
    [
        ("POST", "/replication/switchover", {"to": "n2"}, ("switch_over", "n2")),
        (
            "POST",
            "/cluster/members",
            {"node_id": "n4", "address": "d:1"},
            ("add_voter", "n4", "d:1"),
        ),
        ("POST", "/cluster/members", {"node_id": "n4"}, ("add_voter", "n4", "")),
        ("DELETE", "/cluster/members/n3", None, ("remove_voter", "n3")),
        ("POST", "/replication/mode", {"mode": "sync"}, ("set_mode", "sync", None)),
        (
            "POST",
            "/replication/mode",
            {"mode": "sync", "sync_quorum": 2},
            ("set_mode", "sync", 2),
        ),
        (
            "POST",
            "/cluster/maintenance",
            {"enabled": True},
            ("set_auto_failover", False),
        ),
    ],
)
async def test_a_master_does_what_it_is_asked(
    node: FakeNode, method: str, path: str, body: Any, asked: tuple[Any, ...]
) -> None:
    async with client_of(node) as client:
        answer = await client.request(method, path, json=body)
    assert answer.status_code == 200
    assert node.asked == [asked]


async def test_the_members_are_told_on_every_node(replica: FakeNode) -> None:
    async with client_of(replica) as client:
        answer = await client.get("/cluster/members")
    assert answer.json()["members"] == [
        {"id": "n1", "addr": "a:1", "voter": True, "connected": True}
    ]


async def test_a_replica_cannot_change_them(replica: FakeNode) -> None:
    async with client_of(replica) as client:
        answer = await client.post("/cluster/members", json={"node_id": "x"})
    assert answer.status_code == 409


async def test_a_switchover_without_an_heir_names_the_field(node: FakeNode) -> None:
    async with client_of(node) as client:
        answer = await client.post("/replication/switchover", json={})
    assert answer.status_code == 400
    assert "to" in answer.json()["detail"]
    assert ClusterChangeError.code == "cluster_change"
