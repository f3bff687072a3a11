"""Streams of a WebSocket to a replica, whose master comes and goes."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from typing_extensions import override

from api.hrana.talk import execute
from nexus.api.forward import Forwarder
from nexus.api.hrana.lanes import Lane
from nexus.api.hrana.messages import StreamRequest
from nexus.api.hrana.passing import Master, Passing
from nexus.api.hrana.results import ErrorResult, ExecuteResponse, OkResult
from nexus.api.hrana.stream import Stream
from nexus.api.hrana.texts import Shelf, Texts
from nexus.api.server import HttpServer
from nexus.node.node import Node
from node.builders import count


class Elsewhere(Passing):
    """A master at this address, as a replica would be told of it."""

    def __init__(self, node: Node, server: HttpServer) -> None:
        self.forwarder = Forwarder(node)
        super().__init__(node, self.forwarder)
        self.server: HttpServer | None = server

    @override
    def master(self) -> Master | None:
        if self.server is None:
            return None
        return Master("a replica takes no writes", master_url=self.server.url)


class Setting:
    """A lane, and the way to its master."""

    def __init__(self, node: Node, server: HttpServer) -> None:
        self.node = node
        self.server = server
        self.passing = Elsewhere(node, server)
        self.lane = Lane(Stream(node.open_stream(), Texts(Shelf())), self.passing, {})

    async def say(self, sql: str) -> str:
        """What came of a statement: how many rows it changed, or a code."""
        request: StreamRequest = msgspec.convert(execute(sql), StreamRequest)
        result = await self.lane.carry_out(request)
        if isinstance(result, ErrorResult):
            return result.error.code
        assert isinstance(result, OkResult)
        assert isinstance(result.response, ExecuteResponse)
        return str(result.response.result.affected_row_count)

    def lose_streams(self) -> None:
        """The master forgets every stream, as one that was started anew."""
        self.server._application._hrana._streams.close()


@pytest.fixture
async def setting(node: Node) -> AsyncIterator[Setting]:
    async with HttpServer(node, "127.0.0.1:0") as server:
        setting = Setting(node, server)
        yield setting
        await setting.lane.close()
        setting.passing.forwarder.close()


async def test_what_writes_is_the_masters_from_then_on(setting: Setting) -> None:
    assert await setting.say("select 1") == "0"
    assert setting.lane._baton is None
    assert await setting.say("begin") == "0"
    assert await setting.say("insert into t(v) values (1)") == "1"
    assert await count(setting.node) == 0
    assert await setting.say("commit") == "0"

    assert await count(setting.node) == 1


async def test_a_closed_stream_is_closed_there(setting: Setting) -> None:
    await setting.say("begin immediate")
    await setting.lane.close()

    assert await count(setting.node) == 0
    assert setting.server._application._hrana._streams.count == 0


async def test_a_transaction_that_the_master_forgot_is_lost_and_stays_so(
    setting: Setting,
) -> None:
    await setting.say("begin")
    await setting.say("insert into t(v) values (1)")
    setting.lose_streams()

    for _ in range(2):
        told = await setting.say("insert into t(v) values (2)")
        assert told == "STREAM_EXPIRED"
    assert await count(setting.node) == 0


async def test_a_stream_that_the_master_forgot_outside_a_transaction_goes_on(
    setting: Setting,
) -> None:
    await setting.say("insert into t(v) values (1)")
    setting.lose_streams()

    assert await setting.say("insert into t(v) values (2)") == "1"
    assert await count(setting.node) == 2


async def test_a_master_that_cannot_be_reached_is_told_and_asked_again(
    setting: Setting,
) -> None:
    assert await setting.say("delete from t") == "0"
    await setting.server.stop()
    assert await setting.say("delete from t") in {"NO_MASTER", "OUTCOME_UNKNOWN"}
    assert await setting.say("delete from t") == "NO_MASTER"
    await setting.lane.close()


async def test_a_node_that_has_become_the_master_writes_itself(
    setting: Setting,
) -> None:
    await setting.say("insert into t(v) values (1)")
    setting.passing.server = None

    assert await setting.say("insert into t(v) values (2)") == "1"


async def test_a_transaction_at_a_master_that_is_no_more_is_lost(
    setting: Setting,
) -> None:
    await setting.say("begin")
    setting.passing.server = None

    assert await setting.say("insert into t(v) values (1)") == "STREAM_EXPIRED"
    assert await count(setting.node) == 0
