"""Where it is measured: a master in this process, replicas in theirs."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from nexus.cli.demo.processes import NodeProcess, stop_all
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import NodeCallError, Remote
from nexus.config import load
from nexus.errors import NoMasterError, QuorumLostError
from nexus.model.cluster import Role
from nexus.node.node import Node
from nexus.node.requests import SqlRequest, SqlStatement

SCHEMA: Final = "create table bench(id integer primary key, number integer, text text)"
INSERT: Final = "insert into bench(number, text) values (?, ?)"
TEXT: Final = "a row is about as long as this one: fifty characters"

PATIENT_MS: Final = 1_000
"""Of voters' heartbeats: a busy machine must not cost a master its reign."""
FOLLOW_TIMEOUT_S: Final = 120.0
POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done."""

    rounds: int
    """Pairs of measurements; their median counts."""
    commits: int
    """By one client; 64 clients do eight times as many."""
    bulk_rows: int
    catchup_rows: int
    sync_bytes: int
    memory_entries: int
    http_s: int
    kills: int
    slow_kills: int
    slow_heartbeat_ms: int
    """Of those: what `replication.heartbeat_ms` is unless configured."""


FULL: Final = Scale(
    rounds=5,
    commits=3_000,
    bulk_rows=1_000_000,
    catchup_rows=1_000_000,
    sync_bytes=1_000_000_000,
    memory_entries=1_000_000,
    http_s=8,
    kills=20,
    slow_kills=3,
    slow_heartbeat_ms=5_000,
)
QUICK: Final = Scale(
    rounds=1,
    commits=200,
    bulk_rows=20_000,
    catchup_rows=20_000,
    sync_bytes=8_000_000,
    memory_entries=2_000,
    http_s=1,
    kills=1,
    slow_kills=1,
    slow_heartbeat_ms=300,
)


@dataclass(frozen=True, slots=True)
class Bed:
    """What a family of measurements is given."""

    root: Path
    """An empty directory, its own, on the disk that is measured."""
    scale: Scale
    tell: Callable[[str], None]
    """Say what is measured now."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A master in this process and its replicas."""

    node: Node
    replicas: tuple[NodeProcess, ...]


@asynccontextmanager
async def running(
    root: Path, *, replicas: int, **settings: Any
) -> AsyncIterator[Cluster]:
    """A master at `root`/master whose replicas follow; all are ended.

    `settings` are keys of the master's configuration, with `__` for the dot. Without
    a database from before, the table of the benchmark is made.
    """
    place, *others = _places(root, replicas)
    node = Node(load(None, {}, _flags(place, settings)))
    made = not (place.data_dir / "nexus.db").exists()
    try:
        # In sync mode the master's first entry waits for a replica.
        for replica in others:
            replica.start()
        await node.start()
        for replica in others:
            await asyncio.to_thread(replica.wait_until_up)
            await follows(node, replica)
        if made:
            await _make_table(node)
            for replica in others:
                await follows(node, replica)
        yield Cluster(node, tuple(others))
    finally:
        stop_all(others)
        await node.stop()


@asynccontextmanager
async def electing(root: Path, *, others: int) -> AsyncIterator[Cluster]:
    """Voters in sync mode: the master in this process, the others in theirs."""
    names = [f"n{number + 1}" for number in range(others + 1)]
    place, *rest = [NodeProcess(name, root, master=None) for name in names]
    peers = tuple(one.bind_addr for one in (place, *rest))
    settings = {
        "replication__role": "standalone",  # the election decides
        "replication__peers": ",".join(peers),
        "replication__mode": "sync",
        "replication__heartbeat_ms": str(PATIENT_MS),
    }
    node = Node(load(None, {}, _flags(place, settings)))
    await asyncio.to_thread(root.mkdir, parents=True, exist_ok=True)
    try:
        for one in rest:
            one.heartbeat_ms, one.peers = PATIENT_MS, peers
            one.start()
        await node.start()
        for one in rest:
            await asyncio.to_thread(one.wait_until_up)
        await _enthroned(node, rest)
        await _make_table(node)
        for one in rest:
            await follows(node, one)
        yield Cluster(node, tuple(rest))
    finally:
        stop_all(rest)
        await node.stop()


async def _enthroned(node: Node, others: Sequence[NodeProcess]) -> None:
    """Return once this node reigns; another one that was elected hands over."""
    async with asyncio.timeout(FOLLOW_TIMEOUT_S):
        while node.status().role is not Role.MASTER:
            for other in others:
                with suppress(NodeCallError), Remote(other.url) as remote:
                    await asyncio.to_thread(
                        remote.post, "/replication/switchover", {"to": node.node_id}
                    )
            await asyncio.sleep(POLL_S)


def _places(root: Path, replicas: int) -> list[NodeProcess]:
    """The master's place, which gets no process, then the replicas'."""
    root.mkdir(parents=True, exist_ok=True)
    place = NodeProcess("master", root, master=None)
    names = [f"replica-{number + 1}" for number in range(replicas)]
    return [place, *(NodeProcess(name, root, master=place) for name in names)]


async def _make_table(node: Node) -> None:
    """Once the master counts its replicas: it looks once a heartbeat."""
    async with asyncio.timeout(FOLLOW_TIMEOUT_S):
        while True:
            try:
                await node.execute(SqlRequest([SqlStatement(SCHEMA)]))
            except (NoMasterError, QuorumLostError):
                await asyncio.sleep(POLL_S)
            else:
                return


def _flags(place: NodeProcess, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "data_dir": str(place.data_dir),
        "http_addr": place.http_addr,
        "replication.role": "master",
        "replication.bind_addr": place.bind_addr,
        **{name.replace("__", "."): value for name, value in settings.items()},
    }


async def follows(node: Node, replica: NodeProcess) -> None:
    """Return once the replica has applied all that the master has now.

    Raises NotDoneError where it has not within FOLLOW_TIMEOUT_S.
    """
    wanted = node.status().applied_offset
    with Remote(replica.url) as remote:
        try:
            async with asyncio.timeout(FOLLOW_TIMEOUT_S):
                while True:
                    status = await asyncio.to_thread(remote.get, "/replication/status")
                    if status["applied_offset"] >= wanted:
                        return
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise NotDoneError(
                f"{replica.name} did not follow within {FOLLOW_TIMEOUT_S:.0f} s: "
                f"{replica.last_words()}"
            ) from None


def only_failures() -> None:
    """Have this process's nodes log nothing but failures, to standard error."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
