"""The answer of a cursor."""

from collections.abc import AsyncGenerator
from typing import Any

from nexus.api.hrana.lines import LinesResponse


async def test_the_lines_leave_as_they_come_and_are_closed_when_nobody_reads_on() -> (
    None
):
    closed = []

    async def lines() -> AsyncGenerator[bytes]:
        try:
            yield b"2\n"
            yield b"3\n"
        finally:
            closed.append(True)

    class LeftError(Exception):
        """The client has left."""

    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        if message.get("body") == b"2\n":
            raise LeftError

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": "POST"}
    response = LinesResponse(b"1\n", lines())
    try:
        await response(scope, receive, send)
    except LeftError:
        closed.append(False)

    assert sent[1:] == [b"1\n", b"2\n"]
    assert closed == [True, False]
