"""A client of the port: requests at any pace, in any order, and of any manners."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nexus.model.position import Offset
from nexus.node.clients import caller, delivery
from nexus.node.node import Node
from nexus.node.reading import pieces as reading
from nexus.protocol.calls import (
    Begin,
    Cancel,
    Commit,
    Done,
    Execute,
    Failed,
    Fetch,
    Query,
    Recall,
    Rollback,
    Rows,
)
from nexus.protocol.codec import encode
from nexus.protocol.messages import Error, ErrorCode, Ping, Pong, TakeOver
from node.builders import Crowd, caught_up, run, until
from node.calling import Client, attached

ENDLESS = (
    "with recursive n(i) as (select 1 union all select i + 1 from n) "
    "select count(*) from n"
)


@pytest.fixture
async def master(crowd: Crowd) -> Node:
    node = await crowd.node("master", limits__idle_transaction_ms=60_000)
    await run(node, "create table t(k integer primary key, v)")
    return node


@pytest.fixture
async def client(master: Node) -> AsyncIterator[Client]:
    async with attached(master) as found:
        yield found


@pytest.mark.parametrize(
    "value",
    [
        0,
        -(1 << 63),
        (1 << 63) - 1,
        1.5,
        -math.inf,
        "",
        "naïve\0text",
        b"",
        b"\0\xff",
        None,
    ],
    ids=repr,
)
async def test_a_value_comes_back_as_it_went(client: Client, value: Any) -> None:
    written = await client.done(1, "insert into t values (1, ?)", value)
    assert written.counts == ((1, 1),)
    assert written.offset > 0

    ((found,),) = await client.rows(2, "select v from t")

    assert found == value
    assert type(found) is type(value)


async def test_a_nan_is_null_as_in_sqlite(client: Client) -> None:
    assert await client.rows(1, "select ? is null", math.nan) == [(1,)]


async def test_parameters_go_by_name_too(client: Client) -> None:
    client.say(Execute(1, (Query("select :a, $b", {"a": 1, "b": "x"}),)))

    assert (await client.expect(Rows)).rows == [(1, "x")]
    await client.expect(Done)


async def test_a_query_says_how_its_columns_were_declared(client: Client) -> None:
    client.ask(1, "select k, v, 1 as one from t")

    rows = await client.expect(Rows)

    assert rows.columns == ("k", "v", "one")
    assert rows.decltypes == ("INTEGER", None, None)


async def test_requests_are_answered_out_of_order(client: Client) -> None:
    client.ask(1, ENDLESS)
    assert await client.rows(2, "select 2") == [(2,)]

    client.say(Cancel(1))

    failed = await client.expect(Failed)
    assert (failed.request_id, failed.message) == (1, "interrupted")
    assert failed.details["sqlite_errorcode"] == 9


async def test_writes_of_one_turn_are_one_batch_in_their_order(client: Client) -> None:
    for number in range(1, 101):
        client.ask(number, "insert into t(v) values (?)", number)

    answers = [await client.expect(Done) for _ in range(100)]

    assert sorted(done.request_id for done in answers) == list(range(1, 101))
    offsets = {done.request_id: done.offset for done in answers}
    assert sorted(offsets, key=lambda n: offsets[n]) == list(range(1, 101))


async def test_several_queries_are_one_transaction(client: Client) -> None:
    bad = Query("insert into t values (1, 1)")
    client.say(Execute(1, (Query("insert into t values (1, 0)"), bad)))

    failed = await client.expect(Failed)

    assert failed.code == "constraint"
    assert failed.details["index"] == 1
    assert await client.rows(2, "select count(*) from t") == [(0,)]


async def test_one_statement_runs_for_many_sets(client: Client) -> None:
    many = Query("insert into t(v) values (?)", many=[[1], [2], [3]])
    client.say(Execute(1, (many,)))

    assert (await client.expect(Done)).counts == ((3, 3),)


async def test_a_write_that_answers_gives_rows(client: Client) -> None:
    sql = "insert into t(v) values ('a'), ('b') returning k, v"

    assert await client.rows(1, sql) == [(1, "a"), (2, "b")]


async def test_rows_come_in_pieces_when_they_are_asked_for(client: Client) -> None:
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n limit 10)"
    client.ask(1, f"{numbers} select i from n", fetch_rows=4)
    first = await client.expect(Rows)
    client.say(Ping(7))
    assert (await client.expect(Pong)).timestamp == 7

    client.say(Fetch(1, 5))
    second = await client.expect(Rows)
    client.say(Fetch(1))
    third = await client.expect(Rows)

    assert [len(piece.rows) for piece in (first, second, third)] == [4, 5, 1]
    assert [piece.more for piece in (first, second, third)] == [True, True, False]
    assert first.columns == ("i",)
    assert second.columns == ()
    await client.expect(Done)


async def test_rows_of_a_transaction_come_in_pieces_too(client: Client) -> None:
    await client.begin(1)
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n limit 9)"
    client.ask(2, f"{numbers} select i from n", within=1, fetch_rows=5)

    assert len((await client.expect(Rows)).rows) == 5
    client.say(Fetch(2))
    assert len((await client.expect(Rows)).rows) == 4
    await client.expect(Done)


async def test_a_client_that_does_not_fetch_costs_one_piece(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE_BYTES", 1000)
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n)"
    client.ask(1, f"{numbers} select i from n")

    piece = await client.expect(Rows)
    assert 10 < len(piece.rows) < 1000
    assert piece.more

    client.say(Cancel(1))
    assert (await client.expect(Failed)).message == "interrupted"


async def test_a_transaction_of_several_requests_is_one_entry(client: Client) -> None:
    await client.begin(1)
    await client.done(2, "insert into t values (1, 'a')", within=1)
    assert await client.rows(3, "select v from t", within=1) == [("a",)]
    assert await client.rows(4, "select v from t") == []
    done = await client.commit(5, 1)

    assert done.offset > 0
    assert await client.rows(6, "select v from t") == [("a",)]


async def test_what_is_rolled_back_leaves_nothing(client: Client) -> None:
    await client.begin(1)
    await client.done(2, "insert into t values (1, 'a')", within=1)
    await client.roll_back(3, 1)

    assert await client.rows(4, "select v from t") == []
    failed = await client.failed(5, "select 1", within=1)
    assert (failed.code, failed.ended) == ("transaction_expired", True)


async def test_an_error_leaves_the_transaction_open(client: Client) -> None:
    await client.begin(1)
    await client.done(2, "insert into t values (1, 'a')", within=1)

    failed = await client.failed(3, "insert into t values (1, 'b')", within=1)

    assert (failed.code, failed.ended) == ("constraint", False)
    await client.commit(4, 1)
    assert await client.rows(5, "select v from t") == [("a",)]


async def test_a_client_holds_one_transaction_at_a_time(client: Client) -> None:
    await client.begin(1)
    client.say(Begin(2))

    failed = await client.expect(Failed)

    assert "holds a transaction already" in failed.message
    await client.commit(3, 1)
    await client.begin(4)


async def test_a_client_that_vanishes_frees_the_writer_at_once(
    master: Node, client: Client
) -> None:
    async with attached(master) as other:
        await other.begin(1)
        await other.done(2, "insert into t values (1, 'a')", within=1)
        other.ask(3, ENDLESS, within=1)
        client.ask(1, "insert into t values (2, 'b')")

    await client.expect(Done)
    assert await client.rows(2, "select k from t") == [(2,)]


@pytest.mark.parametrize("within", [0, 1])
async def test_a_client_that_vanishes_with_its_request_ends_it(
    master: Node, client: Client, within: int
) -> None:
    for _ in range(5):
        async with attached(master) as other:
            if within:
                await other.begin(1)
            other.ask(2, f"insert into t(v) {ENDLESS}", within=within)
            await other.connection.drain()

    await client.done(1, "insert into t values (2, 'b')")
    assert await client.rows(2, "select k from t") == [(2,)]


async def test_one_that_vanishes_while_it_waits_gives_its_turn_back(
    master: Node, client: Client
) -> None:
    await client.begin(1)
    async with attached(master) as other:
        other.say(Begin(1))
        await client.rows(2, "select 1")
    await client.commit(3, 1)

    await client.done(4, "insert into t values (2, 'b')")


async def test_a_statement_within_a_transaction_can_be_cancelled(
    client: Client,
) -> None:
    await client.begin(1)
    client.ask(2, ENDLESS, within=1)

    async def cancels() -> None:
        while True:  # it may not run yet
            client.say(Cancel(2))
            await asyncio.sleep(0.05)

    cancelling = asyncio.create_task(cancels())
    failed = await client.expect(Failed)
    cancelling.cancel()

    assert (failed.message, failed.ended) == ("interrupted", False)
    await client.commit(3, 1)


async def test_a_write_can_be_cancelled_and_harms_nobody(client: Client) -> None:
    client.ask(1, f"insert into t(v) {ENDLESS}")
    client.ask(2, "insert into t(v) values ('other')")
    await asyncio.sleep(0.05)
    client.say(Cancel(1))

    answers = [await client.next() for _ in range(2)]

    failed, done = sorted(answers, key=lambda answer: type(answer) is Done)
    assert isinstance(failed, Failed)
    assert (failed.request_id, failed.message) == (1, "interrupted")
    assert isinstance(done, Done)
    assert await client.rows(3, "select v from t") == [("other",)]


async def test_a_request_can_be_cancelled_while_it_waits(client: Client) -> None:
    client.ask(1, "select 1", min_offset=Offset(1 << 40))
    client.say(Cancel(1), Cancel(99), Fetch(99))

    assert (await client.expect(Failed)).message == "interrupted"


async def test_a_commit_cannot_be_cancelled(client: Client) -> None:
    await client.begin(1)
    await client.done(2, "insert into t values (1, 'a')", within=1)
    client.say(Commit(3, 1), Cancel(3))

    assert (await client.expect(Done)).offset > 0
    await client.begin(4)
    client.say(Rollback(5, 4), Cancel(5))
    await client.expect(Done)
    await client.begin(6)


async def test_what_became_of_a_transaction_id_is_told(client: Client) -> None:
    await client.begin(1, transaction_id="a")
    await client.done(2, "insert into t values (1, 'a')", within=1)
    client.say(Commit(3, 1))
    committed = await client.expect(Done)
    client.say(Recall(4, "a"), Recall(5, "never"))

    known = await client.expect(Done)
    unknown = await client.expect(Done)

    assert (known.offset, known.epoch) == (committed.offset, committed.epoch)
    assert known.history_id == committed.history_id
    assert unknown.offset == 0


async def test_a_transaction_that_changed_nothing_takes_no_offset(
    client: Client,
) -> None:
    await client.begin(1, transaction_id="a")
    await client.rows(2, "select 1", within=1)

    assert (await client.commit(3, 1)).offset == 0


async def test_a_write_under_one_id_is_done_once(client: Client) -> None:
    first = await client.done(1, "insert into t(v) values (1)", transaction_id="x")
    again = await client.done(2, "insert into t(v) values (1)", transaction_id="x")

    assert (again.offset, again.counts) == (first.offset, first.counts)
    assert await client.rows(3, "select count(*) from t") == [(1,)]


async def test_vacuum_and_pragmas_are_answered(client: Client) -> None:
    assert (await client.done(1, "vacuum")).offset == 0
    assert await client.rows(2, "pragma user_version") == [(0,)]
    await client.done(3, "pragma user_version = 5")
    assert await client.rows(4, "pragma user_version") == [(5,)]
    assert (
        await client.failed(5, "pragma page_size = 512")
    ).code == "statement_refused"
    await client.done(6, "insert into t values (1, 1)", foreign_keys=False)


async def test_a_replica_answers_queries_and_names_the_master_for_writes(
    crowd: Crowd, master: Node
) -> None:
    replica = await crowd.replica("replica", master)
    written = await run(master, "insert into t values (1, 'a')")
    await caught_up(replica, written)

    async with attached(replica) as client:
        offset = Offset(written.offset)
        sql = "select v from t"
        assert await client.rows(1, sql, min_offset=offset) == [("a",)]
        failed = await client.failed(2, "delete from t")
        client.say(Begin(3), Recall(4, "x"))
        refused = [await client.expect(Failed) for _ in range(2)]

    assert failed.code == "read_only_replica"
    assert str(failed.details["master_url"]).startswith("http://")
    assert {each.code for each in refused} == {"read_only_replica"}


async def test_a_strong_query_is_refused_where_nobody_can_confirm_it(
    client: Client,
) -> None:
    assert (await client.failed(1, "select 1", strong=True)).code == "bad_request"


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("select 1; select 2", "statement_refused"),
        ("select from", "sql"),
        ("select ?", "sql"),
        ("begin", "statement_refused"),
        ("insert into t values (?, ?)", "sql"),
    ],
)
async def test_what_is_no_proper_statement_is_refused(
    client: Client, sql: str, code: str
) -> None:
    assert (await client.failed(1, sql)).code == code
    assert await client.rows(2, "select 1") == [(1,)]


async def test_a_parameter_of_no_sql_type_is_refused(client: Client) -> None:
    client.ask(1, "select ?", [1])
    assert (await client.expect(Failed)).code == "sql"
    client.ask(2, "insert into t(v) values (?)", (1 << 64) - 1)
    assert (await client.expect(Failed)).code == "sql"


async def test_no_query_at_all_is_a_malformed_request(client: Client) -> None:
    client.say(Execute(1, ()))

    assert (await client.expect(Failed)).code == "bad_request"


async def test_a_row_larger_than_a_frame_is_an_error(client: Client) -> None:
    failed = await client.failed(1, "select zeroblob(67108864)")

    assert "too large for one frame" in failed.message
    assert await client.rows(2, "select 1") == [(1,)]


@pytest.mark.parametrize(
    "frames",
    [
        b"\x37\x00\x00\x00\x00",
        encode(TakeOver(1)),  # type: ignore[arg-type]
        encode(Execute(7, (Query(ENDLESS),))) * 2,
        encode(Begin(7)) + encode(Begin(7)),
        encode(Ping(1))[:-1] + b"\0",
    ],
    ids=["unknown", "a node's", "twice", "begun twice", "damaged"],
)
async def test_what_no_client_says_ends_its_connection(
    client: Client, frames: bytes
) -> None:
    client.connection.send_bytes(frames)

    error = await client.expect(Error)

    assert error.code == ErrorCode.MALFORMED
    assert await client.next() is None


async def test_a_client_that_says_goodbye_is_let_go(client: Client) -> None:
    client.say(Error("bye", ""))

    assert await client.next() is None


async def test_a_client_with_too_many_requests_is_heard_later(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller, "MOST_REQUESTS", 4)
    for number in range(1, 50):
        client.ask(number, "insert into t(v) values (?)", number)
        await client.connection.drain()

    answers = [await client.expect(Done) for _ in range(1, 50)]

    assert {done.request_id for done in answers} == set(range(1, 50))


async def test_a_client_that_reads_nothing_is_cut_off(
    master: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller, "STUCK_S", 0.05)
    async with attached(master) as client:
        for number in range(1, 200):
            client.ask(number, "select zeroblob(1000000)")
        callers = master._callers

        await until(lambda: not callers.count)


async def test_a_slow_reader_gets_everything(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "MOST_READINGS", 1)
    for number in range(1, 41):
        client.ask(number, "select zeroblob(1000000)")
    await asyncio.sleep(0.1)

    done: set[int] = set()
    size = 0
    while len(done) < 40:
        answer = await client.next()
        if isinstance(answer, Rows):
            size += sum(len(blob) for (blob,) in answer.rows)
            client.say(Fetch(answer.request_id))
        else:
            assert isinstance(answer, Done), answer
            done.add(answer.request_id)
    assert size == 40_000_000


async def test_a_bug_is_an_answer_too(
    client: Client, master: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(master._callers, "reading", broken)

    failed = await client.failed(1, "select 1")

    assert failed.code == "nexus"
