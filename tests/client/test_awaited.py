"""A blocking connection in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from typing_extensions import override

import nexus
from nexus.client.awaited import Connection


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[Connection]:
    with nexus.open(tmp_path / "data", role="standalone", bind="127.0.0.1:0") as node:
        connect = partial(node.connect, check_same_thread=False)
        connection = await Connection.open(connect)
        yield connection
        connection.abandon()


async def test_a_cursor_runs_and_fetches(connection: Connection) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute("create table t(a)")
        await cursor.executemany("insert into t values (?)", [(n,) for n in range(5)])
        assert cursor.rowcount == 5
        await connection.commit()
        cursor.arraysize = 2
        await cursor.execute("select a from t order by a")

        assert cursor.description[0][0] == "a"
        assert await cursor.fetchone() == (0,)
        assert await cursor.fetchmany(cursor.arraysize) == [(1,), (2,)]
        assert [row async for row in cursor] == [(3,), (4,)]
        assert await cursor.fetchall() == []


async def test_what_is_taken_back_is_gone(connection: Connection) -> None:
    cursor = connection.cursor()
    await cursor.execute("create table t(a)")
    await cursor.execute("insert into t values (1)")
    assert cursor.lastrowid == 1
    await connection.rollback()
    await cursor.execute("select a from t")

    assert await cursor.fetchall() == []


async def test_the_loop_goes_on_while_a_connection_waits(
    connection: Connection,
) -> None:
    goes_on = threading.Event()
    waiting = asyncio.create_task(connection.call(goes_on.wait, 20))

    asyncio.get_running_loop().call_soon(goes_on.set)

    assert await waiting


async def test_an_abandoned_connection_is_closed_in_its_thread(
    connection: Connection,
) -> None:
    connection.abandon()
    connection._thread.shutdown(wait=True)

    with pytest.raises(nexus.ProgrammingError, match="closed"):
        connection.blocking.cursor()


async def test_who_is_cancelled_while_connecting_leaves_no_connection(
    tmp_path: Path,
) -> None:
    with nexus.open(tmp_path / "data", role="standalone", bind="127.0.0.1:0") as node:
        begun, goes_on, closed = (threading.Event() for _ in range(3))
        made = []

        class Noting(nexus.Connection):
            @override
            def close(self) -> None:
                super().close()
                closed.set()

        def connect() -> nexus.Connection:
            begun.set()
            goes_on.wait(60)
            made.append(Noting(node.connect().require_open().session))
            return made[0]

        task = asyncio.create_task(Connection.open(connect))
        assert await asyncio.to_thread(begun.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        goes_on.set()

        assert await asyncio.to_thread(closed.wait, 60)
        assert len(made) == 1


async def test_what_connecting_raises_is_raised() -> None:
    def refuses() -> nexus.Connection:
        raise nexus.OperationalError("nobody is there")

    with pytest.raises(nexus.OperationalError, match="nobody"):
        await Connection.open(refuses)


async def test_who_is_cancelled_leaves_nothing_running_however_often(
    connection: Connection,
) -> None:
    goes_on, interrupts = threading.Event(), []

    class Noting:
        def interrupt(self) -> None:
            interrupts.append(1)
            if len(interrupts) > 3:
                goes_on.set()
            raise nexus.ProgrammingError("Cannot operate on a closed database.")

    own, connection._connection = connection._connection, Noting()  # type: ignore[assignment]
    begun = threading.Event()

    def work() -> bool:
        begun.set()
        return goes_on.wait(60)

    task = asyncio.create_task(connection.call(work))
    assert await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    connection._connection = own
    assert goes_on.is_set()
