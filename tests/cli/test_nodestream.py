"""BEGIN … COMMIT over HTTP, entry by entry, on a real node."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.fake_nodes import FakeNode
from nexus.api.server import HttpServer
from nexus.cli.answer import Answer
from nexus.cli.nodestream import PIPELINE, NodeStream, StepError, sets_foreign_keys
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import NodeCallError, Remote
from nexus.cli.sources import NodeSource
from nexus.cli.sql.printing import Mode
from nexus.cli.sql.script import Entry, entries
from nexus.cli.sql.shell import Shell
from nexus.errors import NexusError, NodeUnreachableError
from nexus.node.node import Node
from node.builders import count, crowd_in, run

NOWHERE = {"baton": None, "base_url": None}


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with crowd_in(tmp_path) as crowd:
        node = await crowd.node("a", limits__idle_transaction_ms=60_000)
        await run(node, "create table t(id integer primary key, v)")
        yield node


@pytest.fixture
async def server(node: Node) -> AsyncIterator[HttpServer]:
    async with HttpServer(node, "127.0.0.1:0") as server:
        yield server


@pytest.fixture
async def source(server: HttpServer) -> AsyncIterator[NodeSource]:
    source = NodeSource(server.url, "")
    yield source
    await asyncio.to_thread(source.close)


async def say(source: NodeSource, sql: str) -> Answer:
    return await asyncio.to_thread(source.run, sql)


async def test_a_transaction_may_span_entries(node: Node, source: NodeSource) -> None:
    await say(source, "begin")
    held = await say(source, "insert into t(v) values (1.5), (x'00ff')")
    assert (held.offset, held.results[0].rows_affected) == (0, 2)
    assert held.results[0].last_insert_rowid == 2
    assert await count(node) == 0

    seen = await say(source, "select id, v from t")
    assert seen.results[0].columns == ("id", "v")
    assert seen.results[0].rows == [(1, 1.5), (2, b"\x00\xff")]
    committed = await say(source, "commit")
    source.close()

    assert committed.outcome == "committed"
    assert committed.offset == node.status().wal_offset
    assert committed.epoch == node.status().epoch
    assert await count(node) == 2


async def test_rollback_and_leaving_take_it_back(
    node: Node, source: NodeSource
) -> None:
    await say(source, "begin; insert into t(v) values (1)")
    await say(source, "rollback")
    await say(source, "savepoint a; insert into t(v) values (2)")
    await asyncio.to_thread(source.close)

    await run(node, "insert into t(v) values (3)")
    assert await count(node) == 1


async def test_an_error_leaves_the_transaction_open_and_shows_its_place(
    node: Node, source: NodeSource
) -> None:
    await say(source, "begin")
    with pytest.raises(NodeCallError, match="no such column: w") as told:
        await say(source, "insert into t(v) values (1); select w from t; select 1")
    await say(source, "commit")
    source.close()

    assert (told.value.index, told.value.error_offset) == (1, 7)
    assert await count(node) == 1


async def test_an_entry_that_writes_and_begins_tells_its_offset_once(
    node: Node, source: NodeSource
) -> None:
    wrote = await say(source, "insert into t(v) values (1); begin")
    read = await say(source, "select * from t")
    await asyncio.to_thread(source.close)

    assert wrote.offset == node.status().wal_offset
    assert (read.offset, len(read.results[0].rows)) == (0, 1)


async def test_a_statement_that_counts_nothing_says_so(source: NodeSource) -> None:
    await say(source, "begin")
    made = await say(source, "create table u(a)")
    await asyncio.to_thread(source.close)

    assert made.results[0].rows_affected == -1


DUMP = (
    "PRAGMA foreign_keys=OFF;",
    "BEGIN TRANSACTION;",
    "create table child(p references parent(id));",
    "insert into child values (7);",
    "create table parent(id integer primary key);",
    "insert into parent values (7);",
    "COMMIT;",
)


async def test_a_dump_of_sqlites_own_shell_is_taken(
    node: Node, source: NodeSource
) -> None:
    for entry in DUMP:
        await say(source, entry)
    orphan = await say(source, "insert into child values (8); select p from child")
    await say(source, "pragma foreign_keys = on")
    with pytest.raises(NodeCallError, match="FOREIGN KEY"):
        await say(source, "insert into child values (9)")
    await asyncio.to_thread(source.close)

    assert orphan.offset == node.status().wal_offset
    assert [result.rows for result in orphan.results] == [[], [(7,), (8,)]]


async def test_without_foreign_keys_an_entry_is_one_transaction_still(
    node: Node, source: NodeSource
) -> None:
    await say(source, "pragma foreign_keys = 0")
    with pytest.raises(NodeCallError, match=r"nobody \(statement 2\)") as told:
        await say(source, "insert into t(v) values (1); select * from nobody")
    await say(source, "begin; pragma foreign_keys = 1; commit")  # does nothing there
    shown = await say(source, "pragma foreign_keys")
    await asyncio.to_thread(source.close)

    assert told.value.index == 1
    assert shown.results[0].rows == [(0,)]
    assert await count(node) == 0


@pytest.mark.parametrize(
    "sql", ["pragma other.foreign_keys = 1", "pragma foreign_keys"]
)
def test_other_pragmas_set_no_foreign_keys(sql: str) -> None:
    assert not sets_foreign_keys(sql)


async def test_a_lost_transaction_is_told_and_nothing_else_joins_it(
    node: Node, server: HttpServer, source: NodeSource
) -> None:
    await say(source, "begin; insert into t(v) values (1)")
    await server.stop()
    with pytest.raises(NodeUnreachableError) as told:
        await say(source, "insert into t(v) values (2)")
    source.close()

    assert "begin it again" in told.value.__notes__[0]
    assert await count(node) == 0


def refused_by(node: FakeNode) -> NexusError:
    with Remote(node.url) as remote:
        stream = NodeStream(remote)
        with pytest.raises(NexusError) as told:
            stream.run(["begin"])
    assert not stream.is_in_transaction
    return told.value


def test_what_the_node_refuses_as_a_whole_is_told_in_its_words() -> None:
    with FakeNode() as node:
        node.on(f"POST {PIPELINE}", {"message": "too many", "code": "BUSY"}, 503)
        assert str(refused_by(node)) == f"{node.url}: too many"
        failed = {"type": "error", "error": {"message": "it is over", "code": "X"}}
        node.on(f"POST {PIPELINE}", {"results": [failed] * 2} | NOWHERE)
        assert str(refused_by(node)) == "it is over"


def test_what_is_no_node_is_told() -> None:
    with FakeNode() as node:
        node.on(f"POST {PIPELINE}", {"hello": 1})
        assert isinstance(refused_by(node), NotDoneError)


def script(*lines: str) -> list[Entry]:
    return list(entries(lines))


async def test_a_scripts_statements_go_many_at_once_and_stand_each_for_itself(
    node: Node, source: NodeSource, capsys: pytest.CaptureFixture[str]
) -> None:
    shell, before = Shell(source, Mode.LIST), node.measures.http.total()
    lines = [f"insert into t(v) values ({number});" for number in range(150)]

    await asyncio.to_thread(shell.obey, script(*lines, "select count(*) from t;"))

    assert capsys.readouterr().out == "150\n"
    assert node.status().wal_offset >= 150
    assert node.measures.http.total() - before < 10


async def test_what_a_script_did_before_its_error_is_shown_and_the_line_told(
    node: Node, source: NodeSource, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(source, Mode.TABLE)
    lines = script(
        "insert into t(v) values (1);", "", "insert into nowhere", "values (2);"
    )

    with pytest.raises(StepError, match="no such table: nowhere") as caught:
        await asyncio.to_thread(shell.obey, lines)

    assert capsys.readouterr().out == "1 row changed\n"
    assert caught.value.__notes__[-1] == "in the statement that begins in line 3"
    assert await count(node) == 1
