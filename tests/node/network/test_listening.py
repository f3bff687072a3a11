"""Sockets on every address that a host means."""

import asyncio
import errno
import socket
from typing import Any

import pytest
import structlog
from typing_extensions import override

from nexus.node.network import listening
from nexus.node.network.listening import Listener, bound_sockets


async def test_all_addresses_of_a_host_share_one_port() -> None:
    sockets = await bound_sockets("localhost:0")

    ports = {each.getsockname()[1] for each in sockets}
    for each in sockets:
        each.close()
    assert len(ports) == 1


async def test_who_connects_waits_until_it_is_accepted() -> None:
    [bound] = await bound_sockets("127.0.0.1:0")

    with socket.create_connection(bound.getsockname(), timeout=10) as client:
        accepted, address = await asyncio.get_running_loop().sock_accept(bound)

        assert address == client.getsockname()
    accepted.close()
    bound.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
async def test_a_port_that_is_taken_leaves_nothing_open(address: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="in use"),
    ):
        await bound_sockets(f"{address}:{taken.getsockname()[1]}")


async def test_an_address_of_another_machine_cannot_be_had() -> None:
    with pytest.raises(OSError, match="assign"):
        await bound_sockets("203.0.113.1:0")


class Exhausted(socket.socket):
    """Has no descriptor for the first one that comes."""

    asked = 0

    @override
    def accept(self) -> tuple[socket.socket, Any]:
        self.asked += 1
        if self.asked == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


async def greet(accepted: socket.socket, host: str) -> None:
    with accepted:
        await asyncio.get_running_loop().sock_sendall(accepted, host.encode())


async def test_who_comes_is_met_with_where_it_is_from() -> None:
    [bound] = await bound_sockets("127.0.0.1:0")
    listener = Listener([bound], greet)

    reader, writer = await asyncio.open_connection(*bound.getsockname())

    assert await reader.read() == b"127.0.0.1"
    writer.close()
    listener.close()
    listener.close()
    await listener.wait_closed()


async def test_one_that_cannot_be_accepted_does_not_end_the_listening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "PAUSE_S", 0.01)
    with Exhausted() as bound:
        bound.settimeout(0)
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        with structlog.testing.capture_logs() as logs:
            listener = Listener([bound], greet)
            reader, writer = await asyncio.open_connection(*bound.getsockname())

            assert await reader.read() == b"127.0.0.1"
        writer.close()
        listener.close()
    assert [each["event"] for each in logs] == ["nobody_accepted"]
    assert logs[0]["reason"] == "Too many open files"


async def test_who_is_being_met_is_seen_off_when_it_closes() -> None:
    met = asyncio.Event()

    async def wait(_accepted: socket.socket, _host: str) -> None:
        met.set()
        await asyncio.Event().wait()

    [bound] = await bound_sockets("127.0.0.1:0")
    listener = Listener([bound], wait)
    reader, writer = await asyncio.open_connection(*bound.getsockname())
    await met.wait()

    listener.close()
    await listener.wait_closed()

    assert await reader.read() == b""
    writer.close()
