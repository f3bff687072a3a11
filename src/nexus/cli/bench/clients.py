"""Native clients beside HTTP, and reads in one's own process beside plain sqlite3."""

import asyncio
import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable
from typing import Final

from typing_extensions import override

from nexus.cli.bench.bed import INSERT, TEXT, Bed
from nexus.cli.bench.http import CONNECTIONS, GET_WRK, drive, make_table, up
from nexus.cli.bench.report import Measured
from nexus.cli.demo.processes import NodeProcess, stop_all
from nexus.cli.outcome import NotDoneError
from nexus.client.connecting import connect
from nexus.config import split_address
from nexus.protocol.calls import (
    CALLS_LEAST,
    CALLS_MOST,
    Attach,
    Attached,
    Done,
    Execute,
    Query,
)
from nexus.protocol.codec import CODES, encode

READS: Final = 20_000
ROWS: Final = 1_000
POINT: Final = "select text from bench where id = ?"

_ASKED: Final = encode(Execute(1, (Query(INSERT, [1, TEXT]),)))
"""One insert: as wrk's, always the same bytes."""


async def measure(bed: Bed) -> dict[str, Measured]:
    """The lines of the family `clients`."""
    master = NodeProcess("master", bed.root, master=None)
    try:
        await up(master)
        await asyncio.to_thread(make_table, master.url)
        inserts = await _beside_http(bed, master)
        bed.tell("point reads of a data directory")
        reads = await asyncio.to_thread(_reads, bed, master)
    finally:
        stop_all([master])
    return {"clients-insert": inserts, "clients-read": reads}


async def _beside_http(bed: Bed, master: NodeProcess) -> Measured:
    wrk = shutil.which("wrk")
    if wrk is None:
        return Measured(None, GET_WRK)
    ratios, told = [], ""
    for _ in range(bed.scale.rounds):
        bed.tell("inserts of 64 native clients")
        native = await inserts_per_s(master.bind_addr, bed.scale.http_s)
        bed.tell("the same by POST /sql")
        http = await drive(bed, wrk, master.url)
        if http.value is None:
            raise NotDoneError(http.detail)
        ratios.append(native / http.value)
        told = f"{native:,.0f}/s, POST /sql {http.value:,.0f}/s"
    return Measured(statistics.median(ratios), told)


class Inserter(asyncio.Protocol):
    """One client: it inserts again as soon as it is answered."""

    def __init__(self) -> None:
        self.done = 0
        self.failed = ""
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._write(encode(Attach(CALLS_LEAST, CALLS_MOST, "bench")))

    @override
    def data_received(self, data: bytes) -> None:
        if data[0] == CODES[Done]:
            self.done += 1
        elif data[0] != CODES[Attached]:
            self.failed = f"the node answered {data[:200]!r}"
            return
        self._write(_ASKED)

    def stop(self) -> None:
        """Ask for no more."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frame)


async def inserts_per_s(address: str, duration_s: float) -> float:
    """What 64 clients get done in a second, one insert at a time each."""
    loop = asyncio.get_running_loop()
    host, port = split_address(address)
    clients = []
    for _ in range(CONNECTIONS):
        _, client = await loop.create_connection(Inserter, host, port)
        clients.append(client)
    await asyncio.sleep(min(0.5, duration_s / 2))  # until all are at it
    before, begun = sum(client.done for client in clients), time.monotonic()
    await asyncio.sleep(duration_s)
    done = sum(client.done for client in clients) - before
    took_s = time.monotonic() - begun
    for client in clients:
        client.stop()
        if client.failed:
            raise NotDoneError(client.failed)
    return done / took_s


def _reads(bed: Bed, master: NodeProcess) -> Measured:
    """Point reads in this process: the data directory's beside the file's."""
    plain = sqlite3.connect(f"file:{master.data_dir / 'nexus.db'}?mode=ro", uri=True)
    local = connect(master.data_dir)
    count = min(READS, bed.scale.commits * 10)
    ratios, told = [], ""
    try:
        for _ in range(bed.scale.rounds):
            own = _rate(lambda key: local.execute(POINT, (key,)).fetchone(), count)
            beside = _rate(lambda key: plain.execute(POINT, (key,)).fetchone(), count)
            ratios.append(own / beside)
            told = f"{own:,.0f}/s, sqlite3 {beside:,.0f}/s"
    finally:
        local.close()
        plain.close()
    return Measured(statistics.median(ratios), told)


def _rate(read: Callable[[int], object], count: int) -> float:
    begun = time.perf_counter()
    for number in range(count):
        read(number % ROWS + 1)
    return count / (time.perf_counter() - begun)
