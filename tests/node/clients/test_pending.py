"""A request under way ends in one answer, whatever becomes of it."""

import asyncio
from typing import Any

import pytest

from nexus.errors import NoMasterError, ProtocolError
from nexus.node.clients.pending import PendingRequests
from nexus.node.clients.tenure import Tenure
from nexus.protocol.calls import Begin, Commit, Failed
from nexus.protocol.codec import Decoder
from node.builders import until


class Desk:
    """What a client hears of its requests."""

    def __init__(self) -> None:
        host: Any = None
        self.heard: list[Any] = []
        self.changes = 0
        self.requests = PendingRequests(Tenure(host), self.send, self.change)

    def send(self, frames: bytes) -> None:
        self.heard += Decoder().feed(frames)

    def change(self) -> None:
        self.changes += 1


async def nothing() -> None:
    await asyncio.sleep(0)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def no_master() -> None:
    raise NoMasterError("none")


async def broken() -> None:
    raise ZeroDivisionError


async def test_one_that_ends_well_is_forgotten_without_a_word() -> None:
    desk = Desk()
    desk.requests.spawn(Begin(1), nothing())
    assert len(desk.requests) == 1

    await until(lambda: not len(desk.requests))

    assert desk.heard == []
    assert desk.changes == 2


async def test_its_error_is_its_answer() -> None:
    desk = Desk()
    desk.requests.spawn(Begin(1), no_master())
    desk.requests.spawn(Commit(2, 1), no_master())
    desk.requests.spawn(Begin(3), broken())

    await until(lambda: len(desk.heard) == 3)

    assert [(f.request_id, f.code, f.ended) for f in desk.heard] == [
        (1, "no_master", False),
        (2, "no_master", True),
        (3, "nexus", False),
    ]


async def test_a_cancelled_one_says_so() -> None:
    desk = Desk()
    desk.requests.spawn(Begin(1), for_ever())
    pending = desk.requests.find(1)
    assert pending is not None

    pending.cancel()
    await until(lambda: desk.heard)

    (failed,) = desk.heard
    assert isinstance(failed, Failed)
    assert failed.message == "interrupted"
    assert desk.requests.find(1) is None


async def test_an_id_is_of_one_request_at_a_time() -> None:
    desk = Desk()
    desk.requests.spawn(Begin(1), for_ever())

    with pytest.raises(ProtocolError, match="request 1 is under way"):
        desk.requests.spawn(Begin(1), for_ever())

    desk.requests.add(Begin(2), lambda: None)
    desk.requests.drop()
    await until(lambda: len(desk.requests) == 1)
    desk.requests.remove(2)
    desk.requests.spawn(Begin(1), nothing())
    await until(lambda: not len(desk.requests))
