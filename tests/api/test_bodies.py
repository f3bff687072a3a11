import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from starlette.types import Receive

from nexus.api.bodies import BodyReader, ClientGoneError, check_media_type, decoded
from nexus.api.refusals import (
    BodyTooLargeError,
    BusyError,
    MediaTypeError,
)
from nexus.errors import RequestError


def receiving(parts: Iterable[bytes], *, complete: bool = True) -> Receive:
    messages = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts
    ]
    if complete:
        messages[-1]["more_body"] = False
    else:
        messages.append({"type": "http.disconnect"})
    waiting = iter(messages)

    async def receive() -> Any:
        return next(waiting)

    return receive


async def test_a_body_in_parts_is_joined() -> None:
    assert await BodyReader().read({}, receiving([b"ab", b"", b"c"])) == b"abc"
    assert await BodyReader().read({}, receiving([b"abc"])) == b"abc"


async def test_a_body_beyond_the_limit_is_refused_however_it_comes() -> None:
    reader = BodyReader(limit=10)

    for parts in ([b"x" * 11], [b"x" * 6, b"x" * 5]):
        with pytest.raises(BodyTooLargeError, match="the limit is 10"):
            await reader.read({}, receiving(parts))


async def test_a_declared_length_beyond_the_limit_is_refused_unread() -> None:
    async def receive() -> Any:
        raise AssertionError("nothing is read")

    with pytest.raises(BodyTooLargeError):
        await BodyReader().read({b"content-length": b"99999999999"}, receive)


async def test_all_bodies_together_are_bounded_and_a_refused_one_frees_its_share() -> (
    None
):
    reader = BodyReader(limit_of_all=10)
    first = asyncio.Event()

    async def slowly() -> Any:
        if not first.is_set():
            first.set()
            return {"type": "http.request", "body": b"x" * 6, "more_body": True}
        await asyncio.Event().wait()
        return None

    task = asyncio.create_task(reader.read({}, slowly))
    await first.wait()
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await reader.read({}, receiving([b"x" * 3, b"x" * 3]))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert len(await reader.read({}, receiving([b"x" * 5, b"x" * 5]))) == 10


async def test_a_body_occupies_its_share_until_it_is_done_with() -> None:
    reader = BodyReader(limit_of_all=10)
    first = await reader.read({}, receiving([b"x" * 3, b"x" * 3]))
    small = await reader.read({}, receiving([b"x" * 5]))

    with pytest.raises(BusyError, match="exceed 10 bytes"):
        await reader.read({}, receiving([b"x", b"x"]))
    reader.release(first)
    reader.release(small)

    assert len(await reader.read({}, receiving([b"x" * 5, b"x" * 5]))) == 10


async def test_a_caller_who_leaves_is_not_answered() -> None:
    with pytest.raises(ClientGoneError):
        await BodyReader().read({}, receiving([b"x"], complete=False))


@pytest.mark.parametrize(
    "declared", [b"application/json", b"Application/JSON; charset=utf-8"]
)
def test_json_may_be_declared_with_a_charset(declared: bytes) -> None:
    check_media_type({b"content-type": declared})


@pytest.mark.parametrize(
    "headers", [{}, {b"content-type": b"text/plain"}, {b"content-type": b"\xff"}]
)
def test_what_a_page_may_send_unasked_is_refused(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(MediaTypeError):
        check_media_type(headers)


def test_nothing_may_be_declared_where_no_browser_calls() -> None:
    check_media_type({}, may_be_missing=True)
    for headers in (
        {b"origin": b"http://elsewhere"},
        {b"content-type": b"text/plain"},
        {b"content-encoding": b"gzip"},
    ):
        with pytest.raises(MediaTypeError):
            check_media_type(headers, may_be_missing=True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a": 1e999}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"a": NaN}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"null",
        b"1" * 5000,
    ],
)
def test_what_is_no_json_object_is_a_request_error(body: bytes) -> None:
    with pytest.raises(RequestError, match="the body"):
        decoded(msgspec.json.Decoder(dict[str, Any]), body)


def test_a_body_that_is_compressed_is_refused_by_name() -> None:
    headers = {b"content-type": b"application/json", b"content-encoding": b"gzip"}

    with pytest.raises(MediaTypeError, match="encoded by 'gzip'"):
        check_media_type(headers)
    check_media_type(headers | {b"content-encoding": b"identity"})
