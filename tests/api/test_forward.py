from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from api.fake_node import FakeNode, client_of
from nexus.config import Config
from nexus.config.values import Secret
from nexus.errors import NoMasterError, ReadOnlyReplicaError

INSERT = {"statements": [{"sql": "insert into t values (1)"}]}
READ_ONLY = ReadOnlyReplicaError("a replica", master_url="http://master:15474/")


@pytest.fixture
def replica(tmp_path: Path) -> FakeNode:
    node = FakeNode(tmp_path, Config(cluster_secret=Secret("geheim")), replica=True)
    node.error = READ_ONLY
    return node


def failing(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    return answer


async def test_a_write_goes_to_the_master_with_the_secret_and_its_answer_comes_back(
    replica: FakeNode,
) -> None:
    seen: list[httpx.Request] = []

    def master(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"offset": 14})

    async with client_of(replica, master=master) as client:
        sent = await client.post("/sql", json=INSERT)

    [request] = seen
    assert sent.json() == {"offset": 14}
    assert str(request.url) == "http://master:15474/sql"
    assert request.content == sent.request.content
    assert request.headers["Authorization"] == "Bearer geheim"
    assert request.headers["Nexus-Forwarded-By"] == "n1"
    assert request.headers["Content-Type"] == "application/json"


async def test_the_masters_problem_is_passed_back_whole(replica: FakeNode) -> None:
    def master(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            503,
            json={"code": "writes_stopped"},
            headers={
                "Content-Type": "application/problem+json",
                "Retry-After": "5",
                "X-Other": "no",
            },
        )

    async with client_of(replica, master=master) as client:
        answer = await client.post("/sql", json=INSERT)

    assert answer.status_code == 503
    assert answer.json() == {"code": "writes_stopped"}
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "X-Other" not in answer.headers


async def test_a_write_that_was_passed_on_once_is_not_passed_on_again(
    replica: FakeNode,
) -> None:
    async with client_of(
        replica, master=failing(AssertionError("not called"))
    ) as client:
        answer = await client.post(
            "/sql", json=INSERT, headers={"Nexus-Forwarded-By": "n9"}
        )

    assert (answer.status_code, answer.json()["code"]) == (503, "no_master")
    assert "n9" in answer.json()["detail"]
    assert answer.headers["Retry-After"]


@pytest.mark.parametrize(
    "error",
    [ReadOnlyReplicaError("a replica"), NoMasterError("none known")],
)
async def test_without_a_master_nothing_happens(
    replica: FakeNode, error: Exception
) -> None:
    replica.error = error

    async with client_of(replica) as client:
        answer = await client.post("/sql", json=INSERT)

    assert (answer.status_code, answer.json()["code"]) == (503, "no_master")
    assert answer.headers["Retry-After"]


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("late"),
        httpx.PoolTimeout(""),
    ],
)
async def test_a_master_out_of_reach_is_no_master(
    replica: FakeNode, failure: Exception
) -> None:
    async with client_of(replica, master=failing(failure)) as client:
        answer = await client.post("/sql", json=INSERT)

    assert (answer.status_code, answer.json()["code"]) == (503, "no_master")
    assert answer.headers["Retry-After"]


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ReadTimeout("late"),
        httpx.ReadError(""),
        httpx.WriteError("reset"),
        httpx.RemoteProtocolError("closed"),
    ],
)
async def test_a_lost_answer_leaves_the_outcome_unknown(
    replica: FakeNode, failure: Exception
) -> None:
    async with client_of(replica, master=failing(failure)) as client:
        answer = await client.post("/sql", json=INSERT)

    assert (answer.status_code, answer.json()["code"]) == (504, "outcome_unknown")
    assert "transaction_id" in answer.json()["what_to_do"]


async def test_an_address_that_is_no_url_is_no_master(replica: FakeNode) -> None:
    replica.error = ReadOnlyReplicaError("a replica", master_url="nonsense:1:2")

    async with client_of(replica) as client:
        answer = await client.post("/sql", json=INSERT)

    assert answer.json()["code"] == "no_master"


async def test_a_read_stays_on_the_replica(replica: FakeNode) -> None:
    replica.error = None

    async with client_of(replica) as client:
        answer = await client.post("/sql", json=INSERT)

    assert answer.status_code == 200
