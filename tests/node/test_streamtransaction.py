"""What a stream's transaction has read or written holds until it ends, or is lost."""

import apsw
import pytest

from nexus.errors import (
    NodeStoppedError,
    StatementError,
    TransactionExpiredError,
)
from nexus.node.node import Node
from nexus.node.sqlstream import SqlStream
from nexus.node.streamtransaction import State
from node.builders import Crowd, count, run, until
from node.streams import say


async def test_a_transaction_that_read_may_write_while_nobody_else_does(
    node: Node, stream: SqlStream
) -> None:
    await say(stream, "begin", "select * from t", "insert into t(v) values (1)")
    assert stream.state is State.WRITING
    await say(stream, "commit")

    assert await count(node) == 1


async def test_a_transaction_that_read_an_old_state_cannot_write(
    node: Node, stream: SqlStream
) -> None:
    await say(stream, "begin deferred", "select * from t")
    await run(node, "insert into t(v) values (1)")

    with pytest.raises(StatementError, match="begin it again") as refused:
        await say(stream, "insert into t(v) values (2)")
    assert refused.value.sqlite_errorcode == apsw.SQLITE_BUSY_SNAPSHOT
    assert await say(stream, "select count(*) from t") == [(0,)]
    await run(node, "insert into t(v) values (3)")
    await say(stream, "rollback")


async def test_savepoints_outside_a_transaction_are_one(
    node: Node, stream: SqlStream
) -> None:
    await say(stream, "savepoint a", "insert into t(v) values (1)", "savepoint b")
    await say(stream, "insert into t(v) values (2)", "rollback to b", "release b")
    assert not stream.is_autocommit
    await say(stream, "release A")

    assert (stream.is_autocommit, await count(node)) == (True, 1)


async def test_an_idle_writer_is_lost_and_nothing_after_it_is_done(
    crowd: Crowd,
) -> None:
    node = await crowd.node("b", limits__idle_transaction_ms=1_000)
    await run(node, "create table t(v)")
    stream = node.open_stream()
    await say(stream, "begin immediate", "insert into t values (1)")
    await run(node, "insert into t values (2)")  # waits for the idle limit

    for text in ("insert into t values (3)", "select 1", "commit"):
        assert not stream.is_autocommit
        with pytest.raises(TransactionExpiredError, match="idle"):
            await say(stream, text)
    assert stream.is_autocommit
    assert await count(node) == 1


async def test_an_idle_reader_gives_its_state_up(crowd: Crowd) -> None:
    node = await crowd.node("b", limits__idle_transaction_ms=1_000)
    await run(node, "create table t(v)")
    stream = node.open_stream()
    await say(stream, "begin", "select * from t")
    await until(lambda: stream.state is State.LOST)

    with pytest.raises(TransactionExpiredError, match="idle"):
        await say(stream, "select * from t")
    await say(stream, "rollback", "insert into t values (1)")
    assert await count(node) == 1


async def test_a_node_that_stops_takes_open_transactions_back(crowd: Crowd) -> None:
    node = await crowd.node("b")
    await run(node, "create table t(v)")
    writing, reading = node.open_stream(), node.open_stream()
    await say(writing, "begin immediate", "insert into t values (1)")
    await say(reading, "begin", "select * from t")
    await node.stop()

    for stream in (writing, reading):
        with pytest.raises(NodeStoppedError):
            await say(stream, "select * from t")
        stream.close()
