"""Answers too large for memory: files and rows, read in threads, piece by piece."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from nexus.api.refusals import RangeError

JSON_LINES: Final = "application/x-ndjson"

PIECE_BYTES: Final = 256 << 10
"""What one answer holds in memory; a thread's turn costs little beside reading it."""

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

_encode: Final = msgspec.json.Encoder().encode


async def stream_lines(rows: Iterable[Any]) -> Response:
    """Each row as one line of JSON; a row may already be text or bytes.

    What the first piece raises is raised here, before the answer begins.
    """
    iterator = iter(rows)
    first = await asyncio.to_thread(_next_lines, iterator)

    async def pieces() -> AsyncIterator[bytes]:
        piece = first
        while piece:
            yield piece
            piece = await asyncio.to_thread(_next_lines, iterator)

    return StreamingResponse(pieces(), media_type=JSON_LINES)


def _next_lines(rows: Iterator[Any]) -> bytes:
    piece = bytearray()
    for row in rows:
        line = row if isinstance(row, str | bytes) else _encode(row)
        piece += line.encode() if isinstance(line, str) else line
        if not piece.endswith(b"\n"):
            piece += b"\n"
        if len(piece) >= PIECE_BYTES:
            break
    return bytes(piece)


class FileResponse(StreamingResponse):
    """One range of an open file; closes it when the answer has ended."""

    def __init__(
        self, file: BinaryIO, span: range, *, status: int, headers: dict[str, str]
    ) -> None:
        super().__init__(
            _pieces(file, span),
            status_code=status,
            headers=headers,
            media_type=headers["Content-Type"],
        )
        self._file = file

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] == "HEAD":
                await Response(headers=self.headers)(scope, receive, send)
            else:
                await super().__call__(scope, receive, send)
        finally:
            self._file.close()


async def file_response(
    path: Path, *, media_type: str, etag: str, wanted: str | None
) -> FileResponse:
    """The file, or the one range of it that the Range header `wanted` names.

    A file that is deleted meanwhile is still sent to its end. Raises
    FileNotFoundError, and RangeError for a range beyond the end.
    """
    file = await asyncio.to_thread(path.open, "rb", buffering=0)
    try:
        size = os.fstat(file.fileno()).st_size
        span = _range_of(wanted, size)
    except BaseException:
        file.close()
        raise
    whole = span is None
    span = range(size) if span is None else span
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="{path.name}"',
        "Content-Length": str(len(span)),
        "Content-Type": media_type,
        "ETag": f'"{etag}"',
    }
    if not whole:
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    return FileResponse(file, span, status=200 if whole else 206, headers=headers)


async def _pieces(file: BinaryIO, span: range) -> AsyncIterator[bytes]:
    position = span.start
    while position < span.stop:
        piece = await asyncio.to_thread(
            os.pread, file.fileno(), min(PIECE_BYTES, span.stop - position), position
        )
        if not piece:
            raise EOFError(f"{file.name} became shorter while it was sent")
        position += len(piece)
        yield piece


def _range_of(wanted: str | None, size: int) -> range | None:
    """The bytes of a Range header; None for what RFC 9110 has a server ignore."""
    match = _RANGE.fullmatch(wanted or "")
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last or size) + 1, size)
        if last and int(last) < start:
            return None
    if start >= stop:
        raise RangeError(f"{wanted} names no byte of a file of {size}", size=size)
    return range(start, stop)
