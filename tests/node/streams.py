"""What a client says on a stream of statements."""

from typing import Any

from nexus.node.sqlstream import SqlStream
from nexus.storage.capturing.results import Statement


async def say(stream: SqlStream, *texts: str) -> list[tuple[Any, ...]]:
    """Run these; the rows of the last."""
    rows: list[tuple[Any, ...]] = []
    for text in texts:
        rows = (await stream.run(Statement(text))).rows
    return rows
