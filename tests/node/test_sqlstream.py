"""A stream means by its statements what a connection to SQLite would."""

import asyncio

import pytest

from nexus.errors import (
    ConstraintError,
    RefusedStatementError,
    StatementError,
)
from nexus.node.node import Node
from nexus.node.sqlstream import SqlStream
from nexus.storage.capturing.results import Statement
from node.builders import count, run, until
from node.streams import say


async def test_outside_a_transaction_each_statement_is_its_own(
    node: Node, stream: SqlStream
) -> None:
    result = await stream.run(Statement("insert into t(v) values (?)", (7,)))

    assert (result.rows_affected, result.last_insert_rowid) == (1, 1)
    assert stream.is_autocommit
    assert stream.last_position is not None
    assert await count(node) == 1
    assert (await stream.run(Statement("select v from t"))).decltypes == (None,)


async def test_a_transaction_is_seen_by_others_once_it_is_committed(
    node: Node, stream: SqlStream
) -> None:
    await say(stream, "begin immediate", "insert into t(v) values (1)")
    assert await say(stream, "select v from t") == [(1,)]
    assert (stream.is_autocommit, await count(node)) == (False, 0)
    await say(stream, "commit")

    assert (stream.is_autocommit, await count(node)) == (True, 1)


async def test_a_rollback_leaves_no_trace(node: Node, stream: SqlStream) -> None:
    await say(stream, "begin", "insert into t(v) values (1)", "rollback")

    assert (stream.is_autocommit, await count(node)) == (True, 0)


async def test_a_closed_stream_frees_the_writer_and_takes_its_transaction_back(
    node: Node, stream: SqlStream
) -> None:
    await say(stream, "begin immediate", "insert into t(v) values (1)")
    stream.close()

    await run(node, "insert into t(v) values (2)")
    assert await count(node) == 1


async def test_a_failed_statement_leaves_the_transaction_open(
    node: Node, stream: SqlStream
) -> None:
    await say(stream, "begin", "insert into t(v) values (1)")
    with pytest.raises(ConstraintError):
        await say(stream, "insert into t(v) values (1)")
    with pytest.raises(RefusedStatementError):
        await say(stream, "attach 'x' as y")
    await say(stream, "insert into t(v) values (2)", "end")

    assert await count(node) == 2


async def test_a_statement_that_rolls_all_back_ends_the_transaction(
    node: Node, stream: SqlStream
) -> None:
    await say(stream, "begin", "insert into t(v) values (1)")
    with pytest.raises(ConstraintError):
        await say(stream, "insert or rollback into t(v) values (1)")

    assert (stream.is_autocommit, await count(node)) == (True, 0)
    with pytest.raises(StatementError, match="cannot commit - no transaction"):
        await say(stream, "commit")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("begin", "begin"), "within a transaction"),
        (("commit",), "cannot commit"),
        (("rollback",), "cannot rollback"),
        (("release x",), "no such savepoint"),
        (("begin transaction readonly", "delete from t"), "begun as READONLY"),
    ],
)
async def test_control_out_of_place_is_an_error(
    stream: SqlStream, texts: tuple[str, ...], message: str
) -> None:
    with pytest.raises((StatementError, RefusedStatementError), match=message):
        await say(stream, *texts)


async def test_a_transaction_that_reads_sees_one_state(
    node: Node, stream: SqlStream
) -> None:
    await say(stream, "begin transaction readonly")
    assert await say(stream, "select count(*) from t") == [(0,)]
    await run(node, "insert into t(v) values (1)")
    assert await say(stream, "select count(*) from t") == [(0,)]
    assert len(await say(stream, "pragma table_info(t)")) == 2
    await say(stream, "commit")

    assert await say(stream, "select count(*) from t") == [(1,)]


async def test_foreign_keys_are_a_matter_of_the_stream(
    node: Node, stream: SqlStream
) -> None:
    await run(node, "create table child(t integer references t)")
    assert await say(stream, "pragma foreign_keys") == [(1,)]
    await say(stream, "pragma foreign_keys = off", "insert into child values (9)")
    assert await say(stream, "pragma foreign_keys") == [(0,)]
    await say(stream, "begin immediate", "pragma foreign_keys = on")
    await say(stream, "insert into child values (8)", "commit")
    assert await say(stream, "pragma foreign_keys") == [(0,)]
    await say(stream, "pragma foreign_keys = on")

    with pytest.raises(ConstraintError):
        await say(stream, "insert into child values (7)")
    assert await count(node, "child") == 2


async def test_pragmas_of_the_file_are_written_and_others_read(
    stream: SqlStream,
) -> None:
    await say(stream, "pragma user_version = 3", "begin", "pragma user_version = 4")
    await say(stream, "commit", "vacuum")

    assert await say(stream, "pragma user_version") == [(4,)]
    with pytest.raises(RefusedStatementError):
        await say(stream, "pragma synchronous = off")


async def test_a_task_that_is_cancelled_leaves_nothing_held(
    node: Node, stream: SqlStream
) -> None:
    other = node.open_stream()
    await say(other, "begin immediate")
    waiting = asyncio.create_task(say(stream, "begin immediate"))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await say(other, "commit")

    await run(node, "insert into t(v) values (1)")
    assert stream.is_autocommit


async def test_a_statement_is_described_without_being_run(
    node: Node, stream: SqlStream
) -> None:
    told = await stream.describe("insert into t(v) values (?) returning id, v as x")

    assert told.columns == (("id", "INTEGER"), ("x", None))
    assert (told.is_readonly, told.is_explain) == (False, False)
    assert (await stream.describe("explain select 1")).is_explain
    assert await count(node) == 0
    with pytest.raises(StatementError, match="no such table"):
        await stream.describe("select * from missing")


async def test_a_long_answer_is_read_in_pieces(node: Node, stream: SqlStream) -> None:
    endless = (
        "with recursive n(i) as (select 1 union all select i + 1 from n) "
        "select i, zeroblob(10000) from n"
    )
    for begin in ("select 1", "begin"):
        await say(stream, begin)
        rows = await stream.open(Statement(endless))
        first, second = await rows.next_rows(), await rows.next_rows()
        rows.close()
        rows.close()

        assert list(rows.result.columns) == ["i", "zeroblob(10000)"]
        assert first[0][0] == 1
        assert second[0][0] == len(first) + 1
    await say(stream, "insert into t(v) values (1)")
    rows = await stream.open(Statement("select v from t"))
    assert (await rows.next_rows(), await rows.next_rows()) == ([(1,)], [])
    rows.close()
    await say(stream, "commit")
    assert await count(node) == 1


async def test_a_query_in_pieces_that_fails_leaves_nothing_open(
    node: Node, stream: SqlStream
) -> None:
    with pytest.raises(StatementError, match="no such table"):
        await stream.open(Statement("select * from missing"))
    with pytest.raises(StatementError, match="binding"):
        await stream.open(Statement("select ?"))
    rows = await stream.open(Statement("select 1 union all select cast(x'ff' as text)"))
    with pytest.raises(StatementError, match="with CAST"):
        await rows.next_rows()
    rows.close()

    await until(lambda: not node._parts.views._count)
