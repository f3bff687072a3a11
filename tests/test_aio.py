"""Connections for asyncio do what those of threads do, and tasks share a pool."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import nexus
from nexus.aio import Connection, Pool, changes, connect

ENDLESS = (
    "with recursive n(i) as (select 1 union all select i + 1 from n) "
    "select count(*) from n"
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with nexus.open(
        tmp_path_factory.mktemp("node"), role="master", bind="127.0.0.1:0"
    ) as node:
        yield f"nexus://{node.node._parts.address}?timeout=20"


@pytest.fixture
async def connection(url: str) -> AsyncIterator[Connection]:
    found = await connect(url)
    await found.executescript("drop table if exists t; create table t(v)")
    yield found
    await found.close()


async def count(connection: Connection) -> Any:
    cursor = await connection.execute("select count(*) from t")
    return (await cursor.fetchone())[0]


async def test_statements_and_rows_are_as_in_a_thread(connection: Connection) -> None:
    cursor = await connection.executemany(
        "insert into t values (?)", [(number,) for number in range(1000)]
    )
    assert cursor.rowcount == 1000
    await connection.commit()
    assert connection.last_position is not None

    async with await connection.execute("select v as n from t") as found:
        assert found.description[0][0] == "n"
        found.arraysize = 2
        assert found.arraysize == 2
        assert await found.fetchone() == (0,)
        assert await found.fetchmany() == [(1,), (2,)]
        assert len([row async for row in found]) == 997
    inserted = await connection.execute("insert into t values (1)")
    assert inserted.lastrowid == 1001
    assert len(await (await connection.execute("select v from t")).fetchall()) == 1001
    await connection.rollback()
    assert await count(connection) == 1000


async def test_a_block_commits_or_takes_back(connection: Connection) -> None:
    async with connection:
        await connection.execute("insert into t values (1)")
        assert connection.in_transaction
    with pytest.raises(nexus.OperationalError, match="no such table"):  # noqa: PT012
        async with connection:
            await connection.execute("insert into t values (2)")
            await connection.execute("insert into nowhere values (2)")

    assert await count(connection) == 1


async def test_a_cancelled_task_interrupts_its_statement(
    connection: Connection,
) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: told.append(said))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await connection.execute(ENDLESS)

    assert await count(connection) == 0
    gc.collect()
    assert told == []  # such as that nobody has looked at an error


@pytest.mark.parametrize("size", [0, -1])
def test_a_pool_that_could_lend_nothing_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="size is 1 at least"):
        Pool("nexus://a", size=size)


async def test_another_task_can_interrupt(connection: Connection) -> None:
    async def interrupts() -> None:
        while True:  # it may not run yet
            await asyncio.sleep(0.05)
            connection.interrupt()

    other = asyncio.create_task(interrupts())
    with pytest.raises(nexus.OperationalError, match="interrupted"):
        await connection.execute(ENDLESS)
    other.cancel()


async def test_calls_that_wait_are_dropped_when_they_are_cancelled(
    connection: Connection,
) -> None:
    first = asyncio.create_task(connection.execute(ENDLESS))
    second = asyncio.create_task(connection.execute("insert into t values (1)"))
    await asyncio.sleep(0.1)
    second.cancel()
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first, second])

    assert await count(connection) == 0


async def test_the_change_feed_goes_on_beside_statements(tmp_path: Path) -> None:
    with nexus.open(tmp_path, role="standalone", bind="127.0.0.1:0") as node:
        made = partial(node.connect, check_same_thread=False)
        connection = await Connection.open(made)
        await connection.execute("create table u(v integer primary key)")
        await connection.commit()
        found = []
        async with connection.changes(since=connection.last_position) as changes:
            for number in range(3):
                async with connection:
                    await connection.execute("insert into u values (?)", (number,))
                found.append((await anext(changes)).new)
        await connection.close()

    assert found == [{"v": 0}, {"v": 1}, {"v": 2}]


async def test_a_feed_of_addresses_says_what_is_wrong_when_it_is_read() -> None:
    with pytest.raises(nexus.errors.RequestError, match="over HTTP"):
        await anext(changes("nexus://a"))


async def test_what_is_closed_is_of_no_use(url: str) -> None:
    closed = await connect(url, isolation_level=None)
    await closed.close()
    await closed.close()
    with pytest.raises(nexus.Error, match="closed"):
        await closed.commit()
    with pytest.raises(nexus.ProgrammingError):
        await connect("nexus://")


async def test_tasks_share_the_connections_of_a_pool(
    url: str, connection: Connection
) -> None:
    used = set()

    async def insert(pool: Pool, number: int) -> None:
        async with pool.connection() as borrowed:
            used.add(borrowed)
            await borrowed.execute("insert into t values (?)", (number,))

    async with Pool(url, size=3) as pool:
        await asyncio.gather(*(insert(pool, number) for number in range(20)))

    assert 1 <= len(used) <= 3
    assert await count(connection) == 20


async def test_an_error_in_a_borrowed_connection_takes_its_work_back(
    url: str, connection: Connection
) -> None:
    async with Pool(url, size=1) as pool:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012
            async with pool.connection() as borrowed:
                await borrowed.execute("insert into t values (1)")
                raise ZeroDivisionError
        async with pool.connection() as again:
            assert await count(again) == 0
            assert again.blocking is borrowed.blocking

    assert await count(connection) == 0


async def test_a_transaction_that_a_borrower_leaves_open_meets_nobody_else(
    url: str, connection: Connection
) -> None:
    async with Pool(url, size=1, autocommit=True) as pool:
        async with pool.connection() as borrowed:
            await borrowed.execute("begin")
            await borrowed.execute("insert into t values (1)")
        async with pool.connection() as again:
            assert not again.in_transaction

    assert await count(connection) == 0


async def test_a_pool_keeps_connections_whose_transaction_is_always_open(
    url: str,
) -> None:
    async with Pool(url, size=1, autocommit=False) as pool:
        async with pool.connection() as borrowed:
            assert borrowed.in_transaction
        async with pool.connection() as again:
            assert again is borrowed


async def test_a_closed_pool_lends_nothing(url: str) -> None:
    pool = Pool(url)
    async with pool.connection() as borrowed:
        await pool.close()
    with pytest.raises(nexus.InterfaceError, match="pool is closed"):
        async with pool.connection():
            pass
    with pytest.raises(nexus.Error, match="closed"):
        await borrowed.commit()
