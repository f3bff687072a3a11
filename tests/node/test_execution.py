"""SQL requests on one database: reads from the pool, writes by the writer."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import apsw
import pytest

from nexus.errors import (
    ConstraintError,
    NodeStoppedError,
    NotAppliedError,
    RequestError,
    StatementError,
)
from nexus.model.cluster import Outcome
from nexus.model.position import Offset
from nexus.node import execution
from nexus.node.execution import Executor
from nexus.node.reading import querying
from nexus.node.reading.waiters import OffsetWaiters
from nexus.node.requests import SqlRequest, SqlResponse, SqlStatement
from nexus.node.telemetry.measures import Measures
from nexus.node.transactions import TransactionManager
from nexus.storage.capturing.results import Statement, StatementResult
from node.builders import Desk, until, wanted

EPOCH = 7
ENDLESS = (
    "with recursive n(i) as (select 1 union all select i + 1 from n) "
    "select count(*) from n"
)


class Place:
    """An executor over a desk and its manager."""

    def __init__(self, desk: Desk, manager: TransactionManager) -> None:
        self.waiters = OffsetWaiters(lambda: desk.database.position.offset)
        self.measures = Measures()
        self.executor = Executor(
            desk.database, self.waiters, self.measures, patience_s=0.05
        )
        self.asked_for_writer = 0
        self.manager = manager

    async def run(
        self, *statements: str | tuple[str, Any], **fields: Any
    ) -> SqlResponse:
        parts = [
            SqlStatement(s) if isinstance(s, str) else SqlStatement(*s)
            for s in statements
        ]
        return await self.executor.execute(
            SqlRequest(parts, **fields), self._writer, EPOCH
        )

    def _writer(self) -> TransactionManager:
        self.asked_for_writer += 1
        return self.manager


@pytest.fixture
def manager(desk: Desk) -> Iterator[TransactionManager]:
    with desk.manager() as manager:
        yield manager


@pytest.fixture
async def place(desk: Desk, manager: TransactionManager) -> AsyncIterator[Place]:
    place = Place(desk, manager)
    await place.run("create table t(id integer primary key, v unique)")
    place.asked_for_writer = 0
    yield place
    desk.database.close_readers()
    place.executor.close()


async def test_a_write_is_answered_with_where_it_stands(place: Place) -> None:
    answer = await place.run(
        ("insert into t(v) values (?)", ["a"]),
        ("insert into t(v) values (:v)", {"v": 2}),
    )
    assert (answer.offset, answer.epoch) == (3, 1)
    assert answer.outcome is Outcome.COMMITTED
    assert answer.durable_on == 1
    assert [r.rows_affected for r in answer.results] == [1, 1]
    assert [r.last_insert_rowid for r in answer.results] == [1, 2]


async def test_reads_ask_for_no_writer_and_take_no_offset(place: Place) -> None:
    await place.run("insert into t(v) values (1), (2)")
    place.asked_for_writer = 0
    answer = await place.run("select id, v from t order by id", "select 1 as one")

    assert place.asked_for_writer == 0
    assert (answer.offset, answer.epoch) == (0, EPOCH)
    assert answer.results[0].columns == ("id", "v")
    assert answer.results[0].rows == [(1, 1), (2, 2)]
    assert answer.results[1].columns == ("one",)


async def test_a_query_without_rows_still_names_its_columns(place: Place) -> None:
    answer = await place.run("select id, v from t where v = 'missing'")

    assert answer.results[0].columns == ("id", "v")
    assert answer.results[0].rows == []


async def test_all_queries_of_a_request_see_one_state(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = querying.query

    def then_write(
        reader: apsw.Connection, statement: Statement, index: int
    ) -> StatementResult:
        result = query(reader, statement, index)
        place.manager.execute_blocking(wanted("insert into t(v) values (random())"))
        return result

    monkeypatch.setattr(execution, "query", then_write)
    answer = await place.run("select count(*) from t", "select count(*) from t")

    assert [result.rows for result in answer.results] == [[(0,)], [(0,)]]
    answer = await place.run("select count(*) from t")
    assert answer.results[0].rows == [(2,)]


async def test_a_transaction_is_all_or_nothing_and_names_its_statement(
    place: Place,
) -> None:
    with pytest.raises(ConstraintError) as refused:
        await place.run("insert into t(v) values (1)", "insert into t(v) values (1)")

    assert refused.value.index == 1
    assert (await place.run("select count(*) from t")).results[0].rows == [(0,)]


async def test_one_by_one_the_first_failure_ends_the_request_and_keeps_the_rest(
    place: Place,
) -> None:
    with pytest.raises(ConstraintError) as refused:
        await place.run(
            "insert into t(v) values (1)",
            "insert into t(v) values (1)",
            "insert into t(v) values (2)",
            transaction=False,
        )
    assert refused.value.index == 1
    assert (await place.run("select v from t")).results[0].rows == [(1,)]


async def test_one_by_one_an_id_covers_each_statement(place: Place) -> None:
    statements = ("insert into t(v) values (1)", "insert into t(v) values (2)")
    first = await place.run(*statements, transaction=False, transaction_id="many")
    again = await place.run(*statements, transaction=False, transaction_id="many")

    assert again == first
    assert first.offset == 4


@pytest.mark.parametrize(
    ("statement", "index", "reason"),
    [
        ("select * from missing", 1, "no such table"),
        ("select", 1, r"incomplete|syntax"),
        (("select ?", []), 1, r"bindings|parameter"),
        (("select :a", {"b": 1}), 1, "parameter"),
        ("select cast(x'ff' as text)", 1, r"not UTF-8 .*CAST\(column AS BLOB\)"),
    ],
)
async def test_a_bad_query_is_the_clients_error_with_its_index(
    place: Place, statement: Any, index: int, reason: str
) -> None:
    with pytest.raises(StatementError, match=reason) as refused:
        await place.run("select 1", statement)
    assert refused.value.index == index


async def test_a_request_without_statements_is_refused(place: Place) -> None:
    with pytest.raises(RequestError, match="send at least one"):
        await place.run()


async def test_a_read_waits_for_the_entry_that_it_must_see(place: Place) -> None:
    reading = asyncio.create_task(
        place.run("select v from t", consistency="session", min_offset=3)
    )
    await asyncio.sleep(0)
    assert not reading.done()
    await place.run("insert into t(v) values ('seen')")
    place.waiters.passed(Offset(3))

    assert (await reading).results[0].rows == [("seen",)]


async def test_an_entry_that_does_not_come_in_time_is_told(place: Place) -> None:
    with pytest.raises(NotAppliedError, match="entry 99"):
        await place.run("select 1", min_offset=99)


async def test_a_query_that_never_ends_ends_with_the_node(
    place: Place, desk: Desk
) -> None:
    running = asyncio.create_task(place.run(ENDLESS))
    await until(lambda: desk.database._readers._lent)
    desk.database.close_readers()
    await asyncio.to_thread(place.executor.close)

    with pytest.raises(NodeStoppedError):
        await running


async def test_vacuum_is_done_here_and_logged_nowhere(place: Place, desk: Desk) -> None:
    answer = await place.run("vacuum")

    assert answer.offset == 0
    assert desk.log.last_offset == 2
