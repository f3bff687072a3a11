from pathlib import Path

import msgspec
import pytest

from api.fake_node import FakeNode
from api.hrana.talk import execute, talk_to
from nexus.api.forward import Forwarder
from nexus.api.hrana.passing import Passing
from nexus.api.server import HttpServer
from nexus.errors import NexusError
from nexus.node.node import Node


@pytest.fixture
def fake(tmp_path: Path) -> FakeNode:
    return FakeNode(tmp_path)


async def test_only_a_replica_has_a_way_to_the_master(
    fake: FakeNode, replica: FakeNode
) -> None:
    assert Passing(fake, Forwarder(fake)).master() is None
    found = Passing(replica, Forwarder(replica)).master()
    assert found is not None
    assert found.master_url == "http://master:15474"


async def test_what_the_master_refuses_is_told_in_its_words(
    fake: FakeNode, replica: FakeNode
) -> None:
    async with HttpServer(fake, "127.0.0.1:0") as server:
        replica.current = msgspec.structs.replace(
            replica.current, master_url=server.url
        )
        passing = Passing(replica, Forwarder(replica))
        master = passing.master()
        assert master is not None
        with pytest.raises(NexusError, match="does not fit"):
            await passing.pass_on(master, {}, b"{}")
        baton = await passing.store_there(master, {}, {1: "select 1"})

    assert baton is not None
    assert baton.startswith("n1.")


async def test_an_answer_waits_until_this_replica_has_the_write(
    node: Node, replica: FakeNode
) -> None:
    async with HttpServer(node, "127.0.0.1:0") as server:
        replica.current = msgspec.structs.replace(
            replica.current, master_url=server.url
        )
        async with talk_to(replica) as talk:
            await talk.rows("select 1")
            assert replica.waited_for == []
            await talk.say(execute("insert into t(v) values (1)"))

    assert replica.waited_for == [3]
