"""A TCP stream that speaks messages."""

import asyncio

import uvloop

from nexus.node.connection import Connection
from nexus.protocol.messages import ErrorCode


async def refuse_one_that_is_closed() -> None:
    accepted: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

    async def accept(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        accepted.set_result(Connection(reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    visitor = await Connection.open(f"127.0.0.1:{port}", timeout_s=5)
    connection = await accepted
    await connection.close()

    await connection.refuse(ErrorCode.STOPPING, "this node is stopping")

    await visitor.close()
    server.close()


def test_a_farewell_to_a_peer_that_is_gone_is_no_failure() -> None:
    uvloop.run(refuse_one_that_is_closed())
