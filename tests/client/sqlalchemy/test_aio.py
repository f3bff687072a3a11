"""SQLAlchemy's asyncio engines."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import exc, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

import nexus
from nexus.client.awaited import Connection


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """An asyncio engine whose connections are those of a node in this process."""
    with nexus.open(tmp_path / "data", role="standalone", bind="127.0.0.1:0") as node:
        connect = partial(node.connect, check_same_thread=False)
        engine = create_async_engine(
            "nexus+aio://", async_creator=partial(Connection.open, connect)
        )
        async with engine.begin() as connection:
            await connection.execute(text("create table t(a integer primary key)"))
        yield engine
        await engine.dispose()


async def test_a_session_commits_and_another_reads(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session:
        await session.execute(text("insert into t values (1), (2)"))
        await session.commit()

    async with AsyncSession(engine) as session:
        rows = (await session.execute(text("select a from t"))).scalars().all()
    assert rows == [1, 2]


async def test_what_is_not_committed_is_taken_back(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("create table half(a)"))
        await connection.rollback()

    async with engine.connect() as connection:
        with pytest.raises(exc.OperationalError, match="no such table"):
            await connection.execute(text("select * from half"))


async def test_rows_are_streamed(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        many = [{"a": number} for number in range(500)]
        await connection.execute(text("insert into t values (:a)"), many)

    async with engine.connect() as connection:
        rows = await connection.stream(text("select a from t order by a"))
        first = await rows.fetchmany(100)
        rest = [row.a async for row in rows]

    assert [row.a for row in first] == list(range(100))
    assert rest == list(range(100, 500))


async def test_autocommit_needs_no_commit(engine: AsyncEngine) -> None:
    at_once = engine.execution_options(isolation_level="AUTOCOMMIT")
    async with at_once.connect() as connection:
        await connection.execute(text("insert into t values (1)"))

    async with engine.connect() as connection:
        assert await connection.scalar(text("select count(*) from t")) == 1


async def test_a_constraints_violation_is_an_integrity_error(
    engine: AsyncEngine,
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("insert into t values (1)"))

    async with engine.connect() as connection:
        with pytest.raises(exc.IntegrityError):
            await connection.execute(text("insert into t values (1)"))


async def test_a_place_where_nothing_is_cannot_be_connected_to(tmp_path: Path) -> None:
    engine = create_async_engine(f"nexus+aio:///{tmp_path}/nothing")

    with pytest.raises(exc.DBAPIError, match="nothing"):
        await engine.connect().start()
    await engine.dispose()


async def test_an_invalidated_connection_is_closed_and_replaced(
    engine: AsyncEngine,
) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("insert into t values (1)"))
        await connection.invalidate()

    async with engine.connect() as connection:
        assert await connection.scalar(text("select count(*) from t")) == 0
