"""Sockets on every address that a host means."""

import asyncio
import socket

import pytest

from nexus.node.listening import bound_sockets


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
