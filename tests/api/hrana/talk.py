"""What a client says in Hrana, in a few words."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from nexus.api.application import Application
from nexus.api.facade import NodeFacade


def value(of: Any) -> dict[str, Any]:
    """A value as Hrana writes it."""
    if of is None:
        return {"type": "null"}
    if isinstance(of, int):
        return {"type": "integer", "value": str(of)}
    kind = "float" if isinstance(of, float) else "text"
    return {"type": kind, "value": of}


def stmt(sql: str, *args: Any, **fields: Any) -> dict[str, Any]:
    """A statement with arguments by place."""
    return {"sql": sql, "args": list(map(value, args)), **fields}


def execute(sql: str, *args: Any) -> dict[str, Any]:
    """A request to run a statement."""
    return {"type": "execute", "stmt": stmt(sql, *args)}


CLOSE = {"type": "close"}


class Talk:
    """A client and the baton of its stream."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.baton: str | None = None

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self.client.post(path, json=body)

    async def say(self, *requests: dict[str, Any]) -> list[dict[str, Any]]:
        """A pipeline on the stream; its results."""
        body = {"baton": self.baton, "requests": list(requests)}
        answer = await self.post("/v3/pipeline", body)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        self.baton = said["baton"]
        results: list[dict[str, Any]] = said["results"]
        return results

    async def rows(self, sql: str, *args: Any) -> list[list[Any]]:
        """The rows of one statement on the stream."""
        [result] = await self.say(execute(sql, *args))
        assert result["type"] == "ok", result
        rows: list[list[Any]] = result["response"]["result"]["rows"]
        return [[each.get("value", each.get("base64")) for each in row] for row in rows]

    async def failure(self, request: dict[str, Any]) -> dict[str, str]:
        """The error of one request on the stream."""
        [result] = await self.say(request)
        assert result["type"] == "error", result
        error: dict[str, str] = result["error"]
        return error

    async def cursor(self, *steps: dict[str, Any]) -> list[dict[str, Any]]:
        """A cursor's entries, on the stream."""
        body = {"baton": self.baton, "batch": {"steps": list(steps)}}
        answer = await self.post("/v3/cursor", body)
        assert answer.status_code == 200, answer.text
        first, *entries = map(msgspec.json.decode, answer.text.splitlines())
        self.baton = first["baton"]
        return entries


@asynccontextmanager
async def talk_to(node: NodeFacade) -> AsyncIterator[Talk]:
    """A client of the node's API, without a socket between."""
    application = Application(node)
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        yield Talk(client)
    application.close()
