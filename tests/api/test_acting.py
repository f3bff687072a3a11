"""What is ordered at one node is done by the one that it names."""

from pathlib import Path

from api.company import company
from api.fake_node import FakeNode, client_of

JSON = {"content-type": "application/json"}


async def test_a_node_does_itself_what_names_it(tmp_path: Path) -> None:
    async with company(tmp_path) as both:
        answer = await both.at_master.post("/cluster/nodes/n1/pause")

    assert answer.json()["paused"] is True
    assert both.master.current.paused


async def test_an_order_is_passed_on_to_the_node_that_it_names(tmp_path: Path) -> None:
    async with company(tmp_path) as both:
        answer = await both.at_replica.post(
            "/cluster/nodes/n1/switchover", json={"to": "r1"}
        )

    assert answer.json()["master_id"] == "r1"
    assert both.master.asked == [("switch_over", "r1")]


async def test_the_refusal_of_another_node_comes_back_as_it_is(tmp_path: Path) -> None:
    async with company(tmp_path) as both:
        refused = await both.at_master.post(
            "/cluster/nodes/r1/switchover", json={"to": "r1"}
        )

    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "wrong_role"


async def test_what_is_no_action_is_told_with_those_that_are(node: FakeNode) -> None:
    async with client_of(node) as client:
        refused = await client.post("/cluster/nodes/n1/explode")

    assert refused.status_code == 400
    assert "promote" in refused.json()["detail"]


async def test_a_node_that_nobody_knows_is_not_found(node: FakeNode) -> None:
    async with client_of(node) as client:
        refused = await client.post("/cluster/nodes/zz/pause")

    assert refused.status_code == 404
    assert "'zz'" in refused.json()["detail"]


async def test_an_order_is_passed_on_once(tmp_path: Path) -> None:
    async with company(tmp_path) as both:
        refused = await both.at_master.post(
            "/cluster/nodes/r1/pause", headers={"nexus-forwarded-by": "n9"}
        )

    assert refused.status_code == 404
    assert both.replica.asked == []


async def test_an_answer_that_never_came_is_told_as_such(tmp_path: Path) -> None:
    async with company(tmp_path) as both:
        await both.at_master.get("/cluster")
        await both.replica_server.stop()
        refused = await both.at_master.post("/cluster/nodes/r1/pause", headers=JSON)

    assert refused.status_code == 504
    assert "it may be done or not" in refused.json()["detail"]
