import pytest
from msgspec.structs import replace

from api.fake_node import FakeNode, client_of
from nexus.api.refusals import NotReadyError
from nexus.config import Config
from nexus.model.secret import Secret


async def test_a_living_process_says_who_it_is(node: FakeNode) -> None:
    async with client_of(node) as client:
        answer = await client.get("/health")

    assert answer.json() == {"status": "ok", "node_id": "n1", "role": "master"}


@pytest.mark.parametrize(("max_lag", "status"), [("", 200), ("2", 200), ("1", 503)])
async def test_a_replica_is_ready_within_the_lag_asked_for(
    replica: FakeNode, max_lag: str, status: int
) -> None:
    query = {"max_lag": max_lag} if max_lag else {}

    async with client_of(replica) as client:
        answer = await client.get("/ready", params=query)

    assert answer.status_code == status
    if status == 503:
        assert answer.json()["code"] == NotReadyError.code
        assert "2 entries behind" in answer.json()["detail"]
        assert answer.headers["Retry-After"]


@pytest.mark.parametrize("max_lag", ["", "x", "-1", "1e3", "9" * 30])
async def test_a_lag_that_is_no_number_is_refused(
    replica: FakeNode, max_lag: str
) -> None:
    async with client_of(replica) as client:
        answer = await client.get("/ready", params={"max_lag": max_lag})

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("role", ["master", "replica"])
async def test_a_node_that_has_failed_is_healthy_as_nothing(
    node: FakeNode, replica: FakeNode, role: str
) -> None:
    each = {"master": node, "replica": replica}[role]
    each.current = replace(each.current, running=False, last_error="the disk failed")

    async with client_of(each) as client:
        answer = await client.get(f"/health/{role}")

    assert (answer.status_code, answer.json()["detail"]) == (503, "the disk failed")


async def test_only_a_node_of_the_role_is_healthy_as_that(
    node: FakeNode, replica: FakeNode
) -> None:
    found = {}
    for name, each in {"master": node, "replica": replica}.items():
        async with client_of(each) as client:
            for asked in ("master", "replica"):
                answer = await client.get(f"/health/{asked}")
                found[name, asked] = answer.status_code
    await node.stop_replication()
    async with client_of(node) as client:
        alone = await client.get("/health/master")

    assert found == {
        ("master", "master"): 200,
        ("master", "replica"): 503,
        ("replica", "master"): 503,
        ("replica", "replica"): 200,
    }
    assert alone.json()["detail"] == "this node is a standalone node, not a master"


async def test_load_balancers_need_no_secret(node: FakeNode) -> None:
    node.config = Config(http_addr="0.0.0.0:1", cluster_secret=Secret("geheim"))

    async with client_of(node) as client:
        for path in ("/health", "/ready", "/health/master", "/metrics"):
            assert (await client.get(path)).status_code == 200
        refused = [
            await client.post("/sql", json={"statements": []}),
            await client.get("/replication/status"),
            await client.get("/openapi.json"),
        ]
        served = await client.get(
            "/replication/status", headers={"Authorization": "Bearer geheim"}
        )

    assert {answer.status_code for answer in refused} == {401}
    assert all("WWW-Authenticate" in answer.headers for answer in refused)
    assert served.status_code == 200
