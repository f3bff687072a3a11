"""Whoever sends no HTTP is told what it seems to be, and where it belongs."""

from pathlib import Path

import pytest

from api.fake_node import FakeNode
from api.test_protocol import told
from nexus.api.server import HttpServer
from nexus.protocol.calls import CALLS_LEAST, CALLS_MOST, Attach
from nexus.protocol.codec import encode
from node.builders import settings


@pytest.mark.parametrize(
    ("bind", "where"), [(":0", "replication.bind_addr"), (":7", "port 7")]
)
async def test_who_speaks_the_nodes_own_protocol_is_shown_its_port(
    tmp_path: Path, bind: str, where: str
) -> None:
    node = FakeNode(
        tmp_path, settings(tmp_path, replication__bind_addr=f"127.0.0.1{bind}")
    )
    async with HttpServer(node, "127.0.0.1:0") as server:
        hello = encode(
            Attach(CALLS_LEAST, CALLS_MOST, "python", features=(), nonce=b"n" * 16)
        )
        [(status, problem)] = await told(server, hello)

    assert status == 400
    assert problem["detail"].endswith(
        f"clients of nexus:// and replicas go to its {where}"
    )
