"""The answer of a cursor: lines, any number of them."""

from collections.abc import AsyncGenerator

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from nexus.api.streams import JSON_LINES


class LinesResponse(StreamingResponse):
    """Lines as they come; whatever gives them is closed when they have ended."""

    def __init__(self, first: bytes, lines: AsyncGenerator[bytes, None]) -> None:
        self._lines = lines
        super().__init__(_after(first, lines), media_type=JSON_LINES)

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._lines.aclose()


async def _after(
    first: bytes, lines: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    yield first
    async for line in lines:
        yield line
