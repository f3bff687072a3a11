"""What a node proves itself with."""

import asyncio
import socket
import ssl
from pathlib import Path

import msgspec
import pytest

from certificates import Office
from nexus.config import Config, split_address
from nexus.model.secret import Secret
from nexus.node.network.connection import Connection
from nexus.node.network.port import MAIN, Port
from nexus.node.network.security import TransportSecurity
from nexus.protocol.codec import encode
from nexus.protocol.messages import Error, ErrorCode, Ping
from nexus.tls.contexts import client_context
from node.builders import PATIENCE_S, knowing, until
from node.network.test_port import greeter
from node.test_publisher import HELLO


def test_without_a_certificate_all_is_plain() -> None:
    security = TransportSecurity.of(Config(cluster_secret=Secret("hush")))

    assert (security.secret, security.client, security.scheme) == ("hush", None, "http")
    assert not security.asks_nodes


def test_with_one_the_api_is_https_and_nodes_are_asked(office: Office) -> None:
    security = TransportSecurity.of(Config(tls=office.settings()))

    assert security.client is not None
    assert (security.scheme, security.asks_nodes) == ("https", True)


def test_while_nodes_change_over_who_speaks_plainly_is_a_node_too(
    office: Office,
) -> None:
    settings = msgspec.structs.replace(office.settings(), mode="optional")
    security = TransportSecurity.of(Config(tls=settings))

    assert security.client is not None
    assert (security.scheme, security.asks_nodes) == ("http", False)
    assert security.speaks_tls
    assert not TransportSecurity().speaks_tls


async def said(port: Port, security: TransportSecurity) -> object:
    """What the port answers to this node's Hello."""
    connection = await security.dial(port.address, timeout_s=PATIENCE_S)
    try:
        connection.send(HELLO)
        return await connection.receive_one(timeout_s=PATIENCE_S)
    finally:
        await connection.close()


async def test_only_a_node_of_the_ca_is_taken_for_a_node(
    office: Office, tmp_path: Path
) -> None:
    security = TransportSecurity.of(Config(tls=office.settings()))
    strange = Office.opened(tmp_path / "other")
    port = Port(security, knowing(), timeout_s=PATIENCE_S)
    await port.start("127.0.0.1:0")
    port.open_to(MAIN, greeter(7))
    try:
        assert await said(port, security) == Ping(7)
        for files in (office.client(), office.nobody()):
            context = client_context(files)
            connection = await Connection.open(
                port.address, timeout_s=PATIENCE_S, tls=context
            )
            connection.send(HELLO)
            answer = await connection.receive_one(timeout_s=PATIENCE_S)
            await connection.close()
            assert isinstance(answer, Error)
            assert answer.code == ErrorCode.UNAUTHORISED
            assert "has shown no node's certificate" in answer.message
        with pytest.raises(OSError, match="of a CA that is not trusted here"):
            await said(port, TransportSecurity.of(Config(tls=strange.settings())))
        plain = await said(port, TransportSecurity())
        assert isinstance(plain, Error)
        assert "this port speaks TLS" in plain.message
    finally:
        await port.stop()


async def test_a_port_that_speaks_plainly_is_told_to_who_speaks_tls(
    office: Office,
) -> None:
    port = Port(TransportSecurity(), knowing(), timeout_s=PATIENCE_S)
    await port.start("127.0.0.1:0")
    try:
        with pytest.raises(OSError, match="it does not speak TLS on this port"):
            await said(port, TransportSecurity.of(Config(tls=office.settings())))
    finally:
        await port.stop()
    assert port.rejections.total() == 1


async def test_while_nodes_change_over_each_meets_each(office: Office) -> None:
    settings = office.settings()
    plain, protected = TransportSecurity(), TransportSecurity.of(Config(tls=settings))
    changing = TransportSecurity.of(
        Config(tls=msgspec.structs.replace(settings, mode="optional"))
    )
    meetings = [
        (changing, changing),
        (changing, plain),
        (plain, changing),
        (changing, protected),
        (protected, changing),
    ]
    for own, other in meetings:
        port = Port(own, knowing(), timeout_s=PATIENCE_S)
        await port.start("127.0.0.1:0")
        port.open_to(MAIN, greeter(7))
        try:
            assert await said(port, other) == Ping(7)
        finally:
            await port.stop()


async def test_a_port_stops_while_it_waits_for_farewells(office: Office) -> None:
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context))
    security = TransportSecurity.of(Config(tls=office.settings()))
    port = Port(security, knowing(), timeout_s=PATIENCE_S)
    await port.start("127.0.0.1:0")
    stranger = client_context(office.client())

    def refused() -> ssl.SSLSocket:
        """A peer that never answers the end of TLS."""
        host, number = split_address(port.address)
        plain = socket.create_connection((host, number), PATIENCE_S)
        spoken = stranger.wrap_socket(plain, server_hostname=host)
        spoken.sendall(encode(HELLO))
        return spoken

    peer = await asyncio.to_thread(refused)
    await until(port.rejections.total)
    await port.stop()
    peer.close()

    assert failures == []
