from typing import Any

import msgspec
import pytest

from api.fake_node import JSON_HEADERS, FakeNode, client_of
from nexus.model.cluster import MasterStats, NodeStatus, ReplicaStats, Role
from nexus.storage.fingerprint import Fingerprints, TableFingerprint


async def called(node: FakeNode, method: str, path: str, **options: Any) -> Any:
    async with client_of(node) as client:
        answer = await client.request(method, path, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_status_has_exactly_the_fields_of_the_contract(node: FakeNode) -> None:
    status = await called(node, "GET", "/replication/status")

    assert tuple(status) == NodeStatus.__struct_fields__
    assert (status["role"], status["state"], status["epoch"]) == (
        "master",
        "streaming",
        2,
    )


async def test_stats_are_those_of_the_role(node: FakeNode, replica: FakeNode) -> None:
    of_master = await called(node, "GET", "/replication/stats")
    of_replica = await called(replica, "GET", "/replication/stats")

    assert tuple(of_master) == MasterStats.__struct_fields__
    assert tuple(of_replica) == ReplicaStats.__struct_fields__
    assert of_master == await called(node, "GET", "/replication/master/stats")
    assert of_replica == await called(replica, "GET", "/replication/replica/stats")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/replication/master/stats"),
        ("GET", "/replication/replicas"),
        ("POST", "/replication/verify"),
    ],
)
async def test_a_masters_call_on_a_replica_names_the_master(
    replica: FakeNode, method: str, path: str
) -> None:
    async with client_of(replica) as client:
        answer = await client.request(method, path)

    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_role")
    assert answer.json()["master_url"] == "http://master:15474"


async def test_a_replicas_call_on_a_master_does_not_send_it_to_itself(
    node: FakeNode,
) -> None:
    async with client_of(node) as client:
        answer = await client.get("/replication/replica/stats")

    assert answer.status_code == 409
    assert "master_url" not in answer.json()


async def test_history_tells_every_reign(node: FakeNode) -> None:
    history = await called(node, "GET", "/replication/history")

    assert history["history"][1] == {
        "epoch": 2,
        "history_id": "h2",
        "master_id": "n1",
        "first_offset": 8,
        "first_position": "2:8@h2",
        "started_at": "2023-11-14T22:15:00+00:00",
        "why": "promote",
        "mode": "",
    }


async def test_replicas_are_listed(node: FakeNode) -> None:
    listed = await called(node, "GET", "/replication/replicas")

    assert [replica["id"] for replica in listed["replicas"]] == ["r1"]


async def test_divergences_are_listed_and_read_as_lines(node: FakeNode) -> None:
    node.diverged.found["d1"] = [{"table": "t"}, '{"table": "u"}\n', b"{}"]

    listed = await called(node, "GET", "/replication/diverged")
    async with client_of(node) as client:
        rows = await client.get("/replication/diverged/d1")
        missing = await client.get("/replication/diverged/d2")

    assert listed == {
        "diverged": [
            {
                "id": "d1",
                "created_us": 1,
                "after_offset": 9,
                "entries": 2,
                "reason": "deposed",
                "dropped": 0,
                "last": "",
                "copy": "",
            }
        ]
    }
    assert rows.headers["Content-Type"] == "application/x-ndjson"
    assert rows.text == '{"table":"t"}\n{"table": "u"}\n{}\n'
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


async def test_a_promotion_says_what_may_be_lost(replica: FakeNode) -> None:
    promoted = await called(
        replica, "POST", "/replication/promote", json={"force": True}
    )

    assert replica.asked == [("promote", True)]
    assert (promoted["role"], promoted["epoch"]) == ("master", 3)
    assert "after offset 10" in promoted["may_be_lost"]
    assert "2 entries" in promoted["may_be_lost"]


async def test_what_a_forced_promotion_may_lose_is_told_before_and_nothing_is_done(
    replica: FakeNode,
) -> None:
    wish = {"force": True, "dry_run": True}
    told = await called(replica, "POST", "/replication/promote", json=wish)

    assert "2 entries" in told["may_be_lost"]
    assert (told["durable_offset"], told["voters"]) == (10, [])
    assert replica.asked == []


async def test_a_promotion_without_a_body_is_not_forced(replica: FakeNode) -> None:
    await called(replica, "POST", "/replication/promote")

    assert replica.asked == [("promote", False)]


async def test_pause_and_resume_take_all_or_one(node: FakeNode) -> None:
    paused = await called(node, "POST", "/replication/pause", json={"replica": "r1"})
    resumed = await called(node, "POST", "/replication/resume")
    async with client_of(node) as client:
        nobody = await client.post("/replication/pause", json={"replica": "r9"})

    assert node.asked == ["r1", None, "r9"]
    assert (paused["paused"], resumed["paused"]) == (True, False)
    assert nobody.status_code == 404


async def test_start_takes_a_role_and_stop_leaves_a_standalone_node(
    node: FakeNode,
) -> None:
    started = await called(
        node,
        "POST",
        "/replication/start",
        json={"role": "replica", "master_addr": "a:1"},
    )
    stopped = await called(node, "POST", "/replication/stop", json={})

    assert node.asked == [(Role.REPLICA, "a:1")]
    assert (started["role"], stopped["role"]) == ("replica", "standalone")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"role": "witness"}',
        b'{"role": "master", "x": 1}',
        b"[]",
        b'{"role": "replica", "master_addr": "a:99999"}',
        b'{"role": "replica", "master_addr": "http://a:1"}',
    ],
)
async def test_a_start_without_a_role_or_an_address_that_there_is_is_refused(
    node: FakeNode, body: bytes
) -> None:
    async with client_of(node) as client:
        answer = await client.post(
            "/replication/start", content=body, headers=JSON_HEADERS
        )

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert node.asked == []


async def test_a_verification_is_awaited_and_then_read(node: FakeNode) -> None:
    mark = await called(node, "POST", "/replication/verify")
    async with client_of(node) as client:
        early = await client.get("/replication/verify/13")
    node.current = msgspec.structs.replace(node.current, applied_offset=13)
    node.hashes[13] = Fingerprints("abc", {"t": TableFingerprint(3, "def")})
    done = await called(node, "GET", "/replication/verify/13")

    assert mark == {"offset": 13}
    assert (early.status_code, early.json()) == (202, {"offset": 13})
    assert early.headers["Retry-After"] == "1"
    assert done == {
        "node_id": "n1",
        "offset": 13,
        "schema": "abc",
        "tables": {"t": {"rows": 3, "hash": "def"}},
    }


async def test_a_mark_that_is_still_to_come_is_not_missing_yet(
    replica: FakeNode,
) -> None:
    async with client_of(replica) as client:
        ahead = await client.get("/replication/verify/11")
        behind = await client.get("/replication/verify/9")

    assert (ahead.status_code, behind.status_code) == (202, 404)


@pytest.mark.parametrize("offset", ["x", "-1", "1.0", "%F0%9F%98%80", "9" * 19, "²"])
async def test_an_offset_is_a_whole_number(node: FakeNode, offset: str) -> None:
    async with client_of(node) as client:
        answer = await client.get(f"/replication/verify/{offset}")

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


async def test_a_replica_applies_what_is_held_back_or_up_to_a_chosen_point(
    node: FakeNode,
) -> None:
    await called(node, "POST", "/replication/resume", json={"now": True})
    path = "/replication/apply"
    stopped = await called(node, "POST", f"{path}?until=7&before_us=8")
    await called(node, "POST", path)

    assert node.at_once
    assert node.asked == [None, (7, 8), (None, None)]
    assert stopped["paused"]
