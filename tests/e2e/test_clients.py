"""Native clients write while masters die: nothing is lost, nothing is done twice."""

import asyncio
import os
import threading
from collections import Counter
from functools import partial
from typing import Any

import pytest
from typing_extensions import override

import nexus
from e2e.cluster import (
    Cluster,
    NodeProcess,
    caught_up,
    fingerprints,
    master_of,
    wait_until,
)
from nexus.errors import (
    ConnectionLostError,
    NoMasterError,
    OutcomeUnknownError,
    QuorumLostError,
    TransactionExpiredError,
    TransactionLostError,
)

KILLS = int(os.environ.get("CLIENT_KILLS", "3"))
SYNC = {
    "NEXUS_REPLICATION_MODE": "sync",
    "NEXUS_REPLICATION_HEARTBEAT_MS": "100",
    "NEXUS_REPLICATION_SYNC_TIMEOUT_MS": "2000",
}
NOTHING_HAPPENED = (
    NoMasterError,
    QuorumLostError,
    TransactionLostError,
    TransactionExpiredError,
)
"""What the guide names as safe to do again, from the transaction's beginning."""


class Client(threading.Thread):
    """Writes 1, 2, 3, … as its own, each until it is told that it is there."""

    def __init__(self, lane: int, url: str) -> None:
        super().__init__(daemon=True)
        self.lane = lane
        self.acknowledged = 0
        self.told: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._url = url
        self._stop_soon = threading.Event()

    def finish(self) -> None:
        self._stop_soon.set()
        self.join(120)
        if self.failure is not None:
            raise self.failure
        assert not self.is_alive(), f"lane {self.lane} waits: {self.told}"

    @override
    def run(self) -> None:
        try:
            connection = nexus.connect(self._url, check_same_thread=False)
            while not self._stop_soon.is_set():
                self.write(connection, self.acknowledged + 1)
                self.acknowledged += 1
            connection.close()
        except BaseException as error:  # noqa: BLE001 - told by `finish`
            self.failure = error

    def write(self, connection: Any, number: int) -> None:
        """Write it once, whatever happens meanwhile."""
        while True:
            try:
                self.attempt(connection, number)
            except NOTHING_HAPPENED as error:
                self.told[error.code] += 1
                connection.rollback()
            except OutcomeUnknownError as error:
                self.told[error.code] += 1
                if self.is_there(connection, number):
                    return
            else:
                return

    def attempt(self, connection: Any, number: int) -> None:
        raise AssertionError(f"{connection} writes {number} in no way")

    def is_there(self, connection: Any, number: int) -> bool:
        """What the guide says to do where the outcome is unknown."""
        query = "select 1 from ledger where lane = ? and number = ?"
        while True:
            try:
                found = connection.execute(query, (self.lane, number)).fetchone()
            except (ConnectionLostError, *NOTHING_HAPPENED) as error:
                self.told[error.code] += 1
            else:
                return found is not None


INSERT = "insert into ledger values (?, ?)"


class OneByOne(Client):
    """Each insert is a transaction of its own."""

    @override
    def attempt(self, connection: Any, number: int) -> None:
        connection.isolation_level = None
        connection.execute(INSERT, (self.lane, number))


class InTransactions(Client):
    """Reads what it wrote last, and writes, in one transaction."""

    @override
    def attempt(self, connection: Any, number: int) -> None:
        connection.execute("begin")
        query = "select max(number) from ledger where lane = ?"
        ((last,),) = connection.execute(query, (self.lane,)).fetchall()
        assert (last or 0) == number - 1, f"lane {self.lane} lost {number - 1}: {last}"
        connection.execute(INSERT, (self.lane, number))
        connection.commit()


class ReadsItsWrites(OneByOne):
    """Reads each write of its own on a replica."""

    @override
    def attempt(self, connection: Any, number: int) -> None:
        super().attempt(connection, number)
        assert self.is_there(connection, number), f"{number} is not seen"


class ByTask(OneByOne):
    """Does the same in an event loop, by the connections of a pool for asyncio."""

    @override
    def run(self) -> None:
        try:
            asyncio.run(self._write_all())
        except BaseException as error:  # noqa: BLE001 - told by `finish`
            self.failure = error

    async def _write_all(self) -> None:
        async with nexus.aio.Pool(self._url, size=1) as pool:
            while not self._stop_soon.is_set():
                await self._write_one(pool, self.acknowledged + 1)
                self.acknowledged += 1

    async def _write_one(self, pool: nexus.aio.Pool, number: int) -> None:
        while True:
            try:
                async with pool.connection() as connection:
                    await connection.execute(INSERT, (self.lane, number))
            except NOTHING_HAPPENED as error:
                self.told[error.code] += 1
            except OutcomeUnknownError as error:
                self.told[error.code] += 1
                async with pool.connection() as connection:
                    look = partial(self.is_there, connection.blocking, number)
                    if await connection.call(look):
                        return
            else:
                return


def url_of(nodes: list[NodeProcess], **query: str) -> str:
    asked = "&".join(f"{key}={value}" for key, value in query.items())
    return f"nexus://{','.join(node.address for node in nodes)}?{asked}"


@pytest.mark.timeout(300 + 60 * KILLS)
def test_clients_write_on_through_every_death_of_a_master(cluster: Cluster) -> None:
    nodes = cluster.voters(settings=SYNC)
    with nexus.connect(url_of(nodes, timeout="60")) as connection:
        connection.execute("create table ledger(lane, number)")
        connection.execute("create index by_lane on ledger(lane, number)")
    connection.close()
    kinds: list[tuple[type[Client], str]] = [
        (OneByOne, "master"),
        (InTransactions, "master"),
        (InTransactions, "nearest"),
        (ReadsItsWrites, "replica"),
        (ByTask, "nearest"),
    ]
    clients = [
        kind(lane, url_of(nodes, read=read, timeout="60"))
        for lane, (kind, read) in enumerate(kinds)
    ]
    for client in clients:
        client.start()
    for _ in range(KILLS):
        goes_on(clients)
        master = master_of(nodes)
        master.kill()
        goes_on(clients)
        master.start()
    for client in clients:
        client.finish()
    check_each_is_there_once(nodes, clients)


def goes_on(clients: list[Client]) -> None:
    """Return once every client has had a few more writes acknowledged."""
    wanted = [client.acknowledged + 5 for client in clients]

    def all_have() -> bool:
        for client in clients:
            if client.failure is not None:
                raise client.failure
        return all(
            client.acknowledged >= least
            for client, least in zip(clients, wanted, strict=True)
        )

    wait_until(all_have, "every client writes")


def check_each_is_there_once(nodes: list[NodeProcess], clients: list[Client]) -> None:
    master = master_of(nodes)
    offset = master.status()["wal_offset"]
    for node in nodes:
        wait_until(partial(caught_up, node, offset), f"{node.url} has all")
    for node in nodes:
        rows = node.rows("select lane, number from ledger order by lane, number")
        for client in clients:
            numbers = [number for lane, number in rows if lane == client.lane]
            expected = list(range(1, client.acknowledged + 1))
            assert numbers == expected, (client.lane, client.told)
    first, *rest = fingerprints(nodes, master)
    assert all(one == first for one in rest)


def test_a_client_that_vanishes_in_a_transaction_leaves_nothing_locked(
    cluster: Cluster,
) -> None:
    node = cluster.master(NEXUS_LIMITS_IDLE_TRANSACTION_MS="600000")
    url = url_of([node])
    with nexus.connect(url) as other:
        other.execute("create table t(v)")
    gone = nexus.connect(url)
    gone.execute("insert into t values (1)")
    gone.require_open().session.close()  # as its process ends: no word is said

    other.execute("insert into t values (2)")
    other.commit()

    assert other.execute("select v from t").fetchall() == [(2,)]
    other.close()
