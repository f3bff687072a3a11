import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from api.fake_node import FakeNode, client_of
from nexus.config import Config
from nexus.config.settings import LogSettings
from nexus.errors import NodeStoppedError
from nexus.model.cluster import NodeStatus
from nexus.model.token import TokenRole


def audited(logs: Any) -> list[dict[str, Any]]:
    return [line for line in logs if line["event"] == "audit"]


@pytest.fixture
def admin(node: FakeNode) -> dict[str, str]:
    text = node.tokens.make(TokenRole.ADMIN, "ops")
    return {"Authorization": f"Bearer {text}", "Content-Type": "application/json"}


async def test_an_act_is_told_with_who_did_what_and_what_came_of_it(
    node: FakeNode, admin: dict[str, str]
) -> None:
    with capture_logs() as logs:
        async with client_of(node) as client:
            await client.post(
                "/replication/switchover", json={"to": "n2"}, headers=admin
            )
            await client.post("/replication/promote", headers=admin)
            await client.delete("/cluster/members/n9", headers=admin)

    done, refused, member = audited(logs)
    assert done == {
        "event": "audit",
        "log_level": "info",
        "act": "switchover",
        "who": "token ops (0000000001)",
        "address": "127.0.0.1",
        "asked": {"to": "n2"},
        "outcome": "done",
        "node": "n1",
        "epoch": 2,
        "offset": 12,
    }
    assert (refused["act"], refused["outcome"]) == ("promote", "wrong_role")
    assert member["asked"] == {"id": "n9"}


async def test_a_token_of_too_small_a_role_is_told_of(node: FakeNode) -> None:
    headers = {"Authorization": f"Bearer {node.tokens.make(TokenRole.WRITE)}"}
    with capture_logs() as logs:
        async with client_of(node) as client:
            await client.post("/replication/stop", headers=headers)

    [line] = audited(logs)
    assert line["outcome"] == "forbidden"
    assert line["who"] == "token - (0000000001)"


async def test_reading_and_writing_rows_is_no_act(
    node: FakeNode, admin: dict[str, str]
) -> None:
    with capture_logs() as logs:
        async with client_of(node) as client:
            await client.get("/tokens", headers=admin)
            await client.get("/replication/status", headers=admin)
            await client.post(
                "/sql", json={"statements": [{"sql": "select 1"}]}, headers=admin
            )

    assert audited(logs) == []


async def test_no_line_has_a_token(node: FakeNode) -> None:
    with capture_logs() as logs:
        async with client_of(node) as client:
            made = await client.post("/tokens", json={"role": "admin", "name": "x"})

    text = made.json()["token"]
    [line] = audited(logs)
    assert line["asked"] == {"role": "admin", "name": "x", "expires_s": 0}
    assert line["who"] == "anonymous"
    assert text.rpartition("_")[2] not in repr(logs)


async def test_a_file_has_the_lines_as_json(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    settings = LogSettings(audit_file=file)
    node = FakeNode(tmp_path, Config(log=settings))
    async with client_of(node) as client:
        await client.post("/replication/pause", json={"replica": "r1\n{}" * 100})
        await client.post("/replication/snapshot")

    first, second = map(json.loads, file.read_text().splitlines())
    assert len(first["asked"]["replica"]) == 200
    assert first["outcome"] == "not_found"
    assert second["act"] == "make_snapshot"
    assert second["time"] >= first["time"]


async def test_a_file_that_cannot_be_written_is_told_and_the_act_is_done(
    tmp_path: Path,
) -> None:
    settings = LogSettings(audit_file=tmp_path)
    node = FakeNode(tmp_path, Config(log=settings))
    with capture_logs() as logs:
        async with client_of(node) as client:
            answer = await client.post("/replication/snapshot")

    assert answer.status_code == 200
    assert "audit_failed" in [line["event"] for line in logs]


async def test_a_node_that_has_stopped_meanwhile_has_no_place(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped() -> NodeStatus:
        raise NodeStoppedError("it is stopping")

    node.current = replace(node.current)
    with capture_logs() as logs:
        async with client_of(node) as client:
            monkeypatch.setattr(node, "status", stopped)
            await client.post("/replication/snapshot")

    [line] = audited(logs)
    assert "epoch" not in line
