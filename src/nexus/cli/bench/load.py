"""The loads: clients of Nexus, and the same work on plain SQLite."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from nexus.cli.bench.bed import INSERT, SCHEMA, TEXT
from nexus.client.connection import Connection
from nexus.embedded.session import NodeSession
from nexus.node.node import Node
from nexus.node.requests import SqlRequest, SqlStatement

CLIENTS: Final = 64
ROWS_A_TRANSACTION: Final = 1_000

Acknowledged = Callable[[int], None]
"""Called with a row's id at the moment its client is answered."""


def _nobody(_: int) -> None:
    """No one wants to know."""


class Plain:
    """Plain SQLite, one connection, WAL mode, every commit synced."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.pragma("journal_mode", "wal")
        self._connection.pragma("synchronous", "full")
        self._connection.execute(SCHEMA)

    def commits(self, count: int) -> float:
        """So many transactions of one row; how many a second."""
        begun = time.perf_counter()
        for number in range(count):
            self._connection.execute(INSERT, (number, TEXT))
        return count / (time.perf_counter() - begun)

    def bulk(self, rows: int) -> float:
        """So many rows in transactions of 1,000; how many a second."""
        begun = time.perf_counter()
        for first in range(0, rows, ROWS_A_TRANSACTION):
            with self._connection:
                self._connection.executemany(INSERT, _rows(first))
        return rows / (time.perf_counter() - begun)

    def close(self) -> None:
        """Release the file."""
        self._connection.close()


async def many_clients(
    node: Node, count: int, acknowledged: Acknowledged = _nobody
) -> float:
    """`count` transactions of one row by 64 concurrent clients; how many a second."""

    async def client(share: int) -> None:
        for number in range(share):
            request = SqlRequest([SqlStatement(INSERT, [number, TEXT])])
            answer = await node.execute(request)
            acknowledged(answer.results[0].last_insert_rowid)

    share = max(1, count // CLIENTS)
    begun = time.perf_counter()
    await asyncio.gather(*(client(share) for _ in range(CLIENTS)))
    return share * CLIENTS / (time.perf_counter() - begun)


def one_client(node: Node, count: int) -> float:
    """`count` transactions of one row, one after another; blocks the thread."""
    connection = Connection(NodeSession(node), autocommit=True)
    begun = time.perf_counter()
    for number in range(count):
        connection.execute(INSERT, (number, TEXT))
    return count / (time.perf_counter() - begun)


def bulk(node: Node, rows: int) -> float:
    """`rows` rows in transactions of 1,000, one after another; blocks the thread."""
    connection = Connection(NodeSession(node), autocommit=True)
    begun = time.perf_counter()
    for first in range(0, rows, ROWS_A_TRANSACTION):
        connection.executemany(INSERT, _rows(first))
    return rows / (time.perf_counter() - begun)


def _rows(first: int) -> list[tuple[int, str]]:
    return [(number, TEXT) for number in range(first, first + ROWS_A_TRANSACTION)]
