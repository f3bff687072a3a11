"""How long clients wait when a master dies, or hands over to another one."""

import asyncio
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from nexus.cli.bench.bed import FOLLOW_TIMEOUT_S, INSERT, SCHEMA, TEXT, Bed
from nexus.cli.bench.report import Measured
from nexus.cli.demo.processes import NodeProcess, stop_all
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import CALL_ERRORS, Remote

VOTERS: Final = 3
CLIENTS: Final = 4
HEARTBEAT_MS: Final = 100
"""A dead master is noticed after three."""
POLL_S: Final = 0.02
RETRY_S: Final = 0.005
AFTERWARDS_S: Final = 0.5
"""Writes go on for so long after a switchover, before its longest gap is looked for."""


class Writers:
    """Clients that insert one row after another at whichever node takes it."""

    def __init__(self, nodes: Sequence[NodeProcess]) -> None:
        self.answers: list[tuple[float, float]] = []
        """When each acknowledged write was sent, and when its answer was there."""
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(nodes, number))
            for number in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Write no more."""
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def first_after(self, moment: float) -> float | None:
        """Seconds until the first answer to a write that was sent after `moment`."""
        found = [at for sent, at in list(self.answers) if sent > moment]
        return min(found) - moment if found else None

    def longest_gap(self, since: float) -> float:
        """The longest time without an answer."""
        found = sorted(at for _, at in list(self.answers) if at > since)
        return max(b - a for a, b in pairwise([since, *found]))

    def _write(self, nodes: Sequence[NodeProcess], number: int) -> None:
        remotes = [Remote(node.url) for node in nodes]
        statement = {"sql": INSERT, "params": [number, TEXT]}
        turn = number
        while not self._enough.is_set():
            sent = time.perf_counter()
            try:
                remotes[turn % len(remotes)].post("/sql", {"statements": [statement]})
            except CALL_ERRORS:
                turn += 1
                self._enough.wait(RETRY_S)
            else:
                self.answers.append((sent, time.perf_counter()))
        for remote in remotes:
            remote.close()


async def measure(bed: Bed) -> dict[str, Measured]:
    """The lines of the family `failover`."""
    kills = bed.scale.kills
    with electing(bed.root) as nodes:
        bed.tell(f"{kills} masters killed under load")
        failovers = await asyncio.to_thread(kill_masters, nodes, kills)
        bed.tell(f"{kills} switchovers under load")
        gaps = await asyncio.to_thread(hand_over, nodes, kills)
    slow_ms, times = bed.scale.slow_heartbeat_ms, bed.scale.slow_kills
    with electing(bed.root / "slow", heartbeat_ms=slow_ms) as nodes:
        bed.tell(f"{times} masters killed with a heartbeat of {slow_ms} ms")
        slow = await asyncio.to_thread(kill_masters, nodes, times)
    told = _told(gaps).partition(";")[0]
    return {
        "failover": Measured(statistics.median(failovers), _told(failovers)),
        "failover-default": Measured(statistics.median(slow), _told(slow, slow_ms)),
        "switchover": Measured(statistics.median(gaps) * 1000, told),
    }


def _told(found: Sequence[float], heartbeat_ms: int = HEARTBEAT_MS) -> str:
    return (
        f"median of {len(found)}, longest {max(found):.2f} s; heartbeat "
        f"{heartbeat_ms} ms, 3 missed"
    )


@contextmanager
def electing(
    root: Path, *, heartbeat_ms: int = HEARTBEAT_MS
) -> Iterator[list[NodeProcess]]:
    """Nodes that have elected, with the benchmark's table; all are ended."""
    root.mkdir(exist_ok=True)
    nodes = [
        NodeProcess(f"n{number + 1}", root, master=None) for number in range(VOTERS)
    ]
    try:
        for node in nodes:
            node.heartbeat_ms = heartbeat_ms
            node.peers = tuple(other.bind_addr for other in nodes)
            node.start()
        for node in nodes:
            node.wait_until_up()
        with Remote(complete(nodes).url) as remote:
            remote.post("/sql", {"statements": [{"sql": SCHEMA}]})
        yield nodes
    finally:
        stop_all(nodes)


def kill_masters(nodes: Sequence[NodeProcess], times: int) -> list[float]:
    """Seconds from each kill to the first write that another master acknowledged."""
    found = []
    writers = Writers(nodes)
    try:
        for _ in range(times):
            master = complete(nodes)
            master.kill()
            killed = time.perf_counter()
            found.append(_wait(lambda: writers.first_after(killed), "a new master"))  # noqa: B023 - asked at once
            master.start()
    finally:
        writers.stop()
    return found


def hand_over(nodes: Sequence[NodeProcess], times: int) -> list[float]:
    """The longest time without an acknowledged write in each switchover."""
    found = []
    writers = Writers(nodes)
    try:
        for _ in range(times):
            master = complete(nodes)
            heir = next(node for node in nodes if node is not master)
            with Remote(heir.url) as remote:
                to = {"to": remote.get("/replication/status")["node_id"]}
            began = time.perf_counter()
            with Remote(master.url) as remote:
                remote.post("/replication/switchover", to)
            time.sleep(AFTERWARDS_S)
            found.append(writers.longest_gap(began))
    finally:
        writers.stop()
    return found


def complete(nodes: Sequence[NodeProcess]) -> NodeProcess:
    """The master, once all others stream from it."""

    def look() -> NodeProcess | None:
        for node in nodes:
            with Remote(node.url) as remote:
                try:
                    replicas = remote.get("/replication/replicas")["replicas"]
                except CALL_ERRORS:
                    continue
            streaming = [one for one in replicas if one["state"] == "streaming"]
            if len(streaming) == len(nodes) - 1:
                return node
        return None

    found: NodeProcess = _wait(look, "a master that all others follow")
    return found


def _wait(look: Any, what: str) -> Any:
    """What `look` finds; raises NotDoneError where it finds nothing."""
    deadline = time.monotonic() + FOLLOW_TIMEOUT_S
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(POLL_S)
    raise NotDoneError(f"there was not {what} within {FOLLOW_TIMEOUT_S:.0f} s")
