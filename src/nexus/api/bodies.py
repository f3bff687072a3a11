"""Read a request's body, within a size and a share of the memory.

How long it may take is the protocol's matter.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec
from starlette.types import Message, Receive

from nexus.api.fields import known_fields
from nexus.api.refusals import BodyTooLargeError, BusyError, MediaTypeError
from nexus.errors import RequestError

BODY_LIMIT: Final = 64 << 20
"""Bytes of one body: as large as the changes of one transaction may be."""

BODIES_LIMIT: Final = 256 << 20
"""Bytes of all bodies that are received and worked on: bounds what callers occupy."""

Struct = TypeVar("Struct")


class ClientGoneError(Exception):
    """The caller closed the connection in mid-request; nobody waits for an answer."""


class BodyReader:
    """Receives bodies; one for all requests, so that it can bound their sum."""

    def __init__(
        self, *, limit: int = BODY_LIMIT, limit_of_all: int = BODIES_LIMIT
    ) -> None:
        self._limit = limit
        self._limit_of_all = limit_of_all
        self._held = 0

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """The whole body; whoever gets it calls `release` when it is done with.

        Raises a RequestError, BusyError or ClientGoneError.
        """
        declared = headers.get(b"content-length", b"0")
        if len(declared) > 7 and declared.isdigit():  # noqa: PLR2004 - below the limit
            self._check_size(int(declared))
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            self._check_size(len(body))
            self._held += len(body)
            return body
        return await self._read_parts(message, receive)

    def release(self, body: bytes) -> None:
        """This body occupies nothing any more."""
        self._held -= len(body)

    async def _read_parts(self, message: Message, receive: Receive) -> bytes:
        parts = bytearray()
        held = 0
        is_whole = False
        try:
            while True:
                if message["type"] != "http.request":
                    raise ClientGoneError
                part = message.get("body", b"")
                held += len(part)
                self._held += len(part)
                if self._held > self._limit_of_all:
                    raise BusyError(
                        "the bodies of the requests that are worked on exceed "
                        f"{self._limit_of_all} bytes together; try again soon"
                    )
                self._check_size(held)
                parts += part
                if not message.get("more_body", False):
                    is_whole = True
                    return bytes(parts)
                message = await receive()
        finally:
            if not is_whole:
                self._held -= held

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise BodyTooLargeError(
                f"the body has {size} bytes or more, the limit is {self._limit}"
            )


def check_media_type(
    headers: Mapping[bytes, bytes], *, may_be_missing: bool = False
) -> None:
    """Raise MediaTypeError unless the body is declared as JSON, not compressed.

    A page of another site can have a browser send any body, but not declare it so;
    whatever `may_be_missing`, a browser, which names the page's origin, must.
    """
    coding = headers.get(b"content-encoding", b"identity")
    if coding != b"identity":
        raise MediaTypeError(
            f"the body is declared as encoded by {coding.decode('latin-1')!r}; send it "
            "as it is"
        )
    declared = headers.get(b"content-type", b"")
    if declared == b"application/json":
        return
    if may_be_missing and not declared and b"origin" not in headers:
        return
    if declared.partition(b";")[0].strip().lower() != b"application/json":
        raise MediaTypeError(
            f"the body is declared as {declared.decode('latin-1')!r}, not as "
            "application/json"
        )


def check_count(statements: int, *, most: int) -> None:
    """Raise BodyTooLargeError where one request brings more than `most`."""
    if statements > most:
        raise BodyTooLargeError(
            f"{statements} statements are more than {most} (limits.statements)"
        )


def decoded(decoder: msgspec.json.Decoder[Struct], body: bytes) -> Struct:
    """The body as its type; raises RequestError with the place and the reason."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        known = known_fields(decoder.type, str(error))
        raise RequestError(f"the body does not fit: {error}{known}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"the body is not valid JSON: {error}") from None
    except RecursionError:
        raise RequestError("the body is nested too deeply") from None
