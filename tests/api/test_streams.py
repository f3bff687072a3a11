from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.api.streams import PIECE_BYTES, file_response, stream_lines
from nexus.errors import NotFoundError


async def body_of(rows: Iterator[object]) -> list[bytes]:
    response = await stream_lines(rows)
    return [bytes(piece) async for piece in response.body_iterator]  # type: ignore[attr-defined]


async def test_rows_are_read_piece_by_piece() -> None:
    read = 0

    def rows() -> Iterator[str]:
        nonlocal read
        for _ in range(10):
            read += 1
            yield "x" * (PIECE_BYTES // 2)

    await stream_lines(rows())
    assert read == 2

    assert len(await body_of(rows())) == 5


async def test_no_rows_are_no_lines() -> None:
    assert await body_of(iter([])) == []


async def test_what_the_first_row_raises_is_raised_before_the_answer() -> None:
    def row(number: int) -> str:
        raise NotFoundError(f"row {number} is gone")

    with pytest.raises(NotFoundError):
        await stream_lines(map(row, [1]))


async def test_a_file_that_is_cut_meanwhile_ends_the_answer_with_an_error(
    tmp_path: Path,
) -> None:
    path = tmp_path / "archive"
    path.write_bytes(b"x" * 100)
    response = await file_response(
        path, media_type="application/zstd", etag="e", wanted=None
    )
    path.write_bytes(b"x" * 50)

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(_message: object) -> None:
        return

    scope = {"type": "http", "method": "GET", "asgi": {"spec_version": "2.4"}}
    with pytest.raises(EOFError, match="shorter"):
        await response(scope, receive, send)


async def test_a_file_of_no_bytes_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.touch()

    response = await file_response(path, media_type="x/y", etag="e", wanted=None)

    assert response.headers["Content-Length"] == "0"
    response._file.close()
