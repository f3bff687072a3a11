import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from api.fake_node import FakeNode, client_of
from nexus.api.application import CALLS, PathEndpoint
from nexus.api.bodies import BodyReader, ClientGoneError
from nexus.api.calls import Context
from nexus.api.lookout import Lookout
from nexus.api.security import Gate
from nexus.node.network.admittance import Admittance


async def test_a_path_that_no_call_has_is_a_problem(node: FakeNode) -> None:
    async with client_of(node) as client:
        for path in ("/nope", "/replication/status/", "/replication", "/%2F", "/sql/x"):
            answer = await client.get(path)

            assert (answer.status_code, answer.json()["code"]) == (404, "no_such_call")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/sql", {"POST"}),
        ("DELETE", "/replication/snapshot", {"GET", "HEAD", "POST"}),
        ("POST", "/replication/status", {"GET", "HEAD"}),
        ("OPTIONS", "/sql", {"POST"}),
    ],
)
async def test_another_method_is_told_those_that_there_are(
    node: FakeNode, method: str, path: str, allowed: set[str]
) -> None:
    async with client_of(node) as client:
        answer = await client.request(method, path)

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == allowed


async def test_a_page_of_another_site_can_call_nothing(node: FakeNode) -> None:
    origin = {"Origin": "http://evil.example"}

    async with client_of(node) as client:
        refused = [
            await client.post("/replication/stop", headers=origin),
            await client.post("/sql", json={"statements": []}, headers=origin),
        ]
        own = await client.get("/", headers={"Origin": "http://node:15474"})

    assert {answer.json()["code"] for answer in refused} == {"cross_origin"}
    assert node.asked == []
    assert own.status_code == 200


async def test_the_index_lists_every_call(node: FakeNode) -> None:
    async with client_of(node) as client:
        accept = {"Accept": "application/json"}
        index = (await client.get("/", headers=accept)).json()

    assert len(index["calls"]) == len(CALLS)
    assert {("GET", "/"), ("POST", "/sql"), ("GET", "/cluster")} <= {
        (call["method"], call["path"]) for call in index["calls"]
    }


async def test_a_bug_in_a_call_is_a_500_and_is_raised_for_the_log(
    node: FakeNode,
) -> None:
    node.diverged.found["d1"] = [object()]

    transport = client_of(node)._transport
    assert isinstance(transport, httpx.ASGITransport)
    transport.raise_app_exceptions = False
    async with httpx.AsyncClient(transport=transport, base_url="http://n") as client:
        answer = await client.get("/replication/diverged/d1")

    assert (answer.status_code, answer.json()["code"]) == (500, "nexus")
    async with client_of(node) as client:
        with pytest.raises(TypeError):
            await client.get("/replication/diverged/d1")


async def test_a_caller_who_leaves_is_not_answered(node: FakeNode) -> None:
    async def leave(_context: Context, _request: Request) -> Response:
        raise ClientGoneError

    call = next(call for call in CALLS if call.path == "/health")
    endpoint = PathEndpoint(
        {"GET": (leave, call)},
        Context(node, BodyReader(), Lookout(node)),
        Gate(node.config, Admittance(node.config, lambda: node.tokens.known)),
    )
    sent: list[object] = []

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    await endpoint({"type": "http", "method": "GET", "headers": []}, receive, send)

    assert sent == []
