"""What a node's role works with, whatever the role is."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nexus.errors import ConfigurationError, StorageError
from nexus.node.network.security import TransportSecurity
from nexus.node.parts import Opening, Parts, open_parts
from nexus.node.publisher import PublisherHooks
from nexus.node.telemetry.events import EventLog
from nexus.node.telemetry.measures import Measures
from node.builders import Crowd, address_of, settings


def unexpected(*_: Any) -> Any:
    raise AssertionError("nobody calls it")


HOOKS = PublisherHooks(
    visited=unexpected,
    committed=unexpected,
    step_down=unexpected,
    stop_writes=unexpected,
    send_snapshot=unexpected,
    votes=unexpected,
    client=unexpected,
    events=EventLog(),
)


async def opened(directory: Path, **flags: Any) -> Parts:
    return await open_parts(
        Opening(
            settings(directory, **flags),
            "127.0.0.1:80",
            HOOKS,
            unexpected,
            Measures(),
            TransportSecurity(),
        )
    )


async def closed(parts: Parts) -> None:
    await parts.publisher.stop()
    await parts.port.stop()
    await asyncio.to_thread(parts.close)


async def test_what_is_closed_can_be_opened_again(tmp_path: Path) -> None:
    first = await opened(tmp_path)
    node_id = first.state.node_id
    with pytest.raises(StorageError, match=r"lock|process"):
        await opened(tmp_path)
    await closed(first)

    second = await opened(tmp_path)

    assert second.state.node_id == node_id
    assert second.identity().node_id == node_id
    assert second.identity().http_url == "http://127.0.0.1:80"
    await closed(second)


async def test_a_port_that_is_taken_leaves_the_directory_free(
    crowd: Crowd, tmp_path: Path
) -> None:
    other = await crowd.node("other")
    taken = address_of(other)

    with pytest.raises(ConfigurationError, match=f"{taken} cannot be used"):
        await opened(tmp_path / "mine", replication__bind_addr=taken)

    await closed(await opened(tmp_path / "mine"))


@pytest.mark.parametrize(
    ("role", "kept", "configured", "expected"),
    [
        ("replica", "k:1", "c:1", ("c:1", "k:1")),
        ("replica", "", "c:1", ("c:1",)),
        ("replica", "k:1", "k:1", ("k:1",)),
        ("master", "k:1", None, ("k:1",)),
        ("master", "", None, None),
        ("master", "own", None, None),
    ],
)
async def test_a_master_is_looked_for_where_it_was_and_where_it_is_said_to_be(
    tmp_path: Path,
    role: str,
    kept: str,
    configured: str | None,
    expected: tuple[str, ...] | None,
) -> None:
    parts = await opened(tmp_path)
    kept = parts.address if kept == "own" else kept
    parts.storage.catalog.update(master_addr=kept)
    flags = {"replication__master_addr": configured} if configured else {}
    found = replace(parts, config=settings(tmp_path, role, **flags))

    assert found.master_addresses() == (expected or (parts.address,))
    await closed(parts)


async def test_a_call_from_another_thread_is_made_on_the_loop_unless_it_is_spared(
    tmp_path: Path,
) -> None:
    parts = await opened(tmp_path)
    made: list[tuple[int, int]] = []
    spared = [True]
    call = parts.on_loop(
        lambda value: made.append((value, threading.get_ident())),
        unless=lambda: spared[0],
    )

    await asyncio.to_thread(call, 1)
    spared[0] = False
    await asyncio.to_thread(call, 2)
    await asyncio.sleep(0)

    assert made == [(2, threading.get_ident())]
    await closed(parts)


async def test_nothing_is_called_on_a_loop_that_is_closed(tmp_path: Path) -> None:
    parts = await opened(tmp_path)
    loop = asyncio.new_event_loop()
    loop.close()

    replace(parts, loop=loop).on_loop(unexpected)(1)

    assert not parts.loop.is_closed()
    await closed(parts)
