"""Hrana over HTTP, on a real node."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typing_extensions import override

from api.fake_node import JSON_HEADERS, FakeNode
from api.hrana.talk import CLOSE, Talk, execute, stmt, talk_to, value
from nexus.api.protocol import HttpLimits
from nexus.api.server import HttpServer
from nexus.errors import NoMasterError
from nexus.node.node import Node
from nexus.node.sqlstream import SqlStream
from node.builders import Crowd, count, run, until


async def test_both_versions_are_said_to_be_spoken(talk: Talk) -> None:
    for path, status in (("/v2", 200), ("/v3", 200), ("/v3-protobuf", 404)):
        assert (await talk.client.get(path)).status_code == status


async def test_a_pipeline_runs_its_requests_in_order(talk: Talk) -> None:
    inserted, found, closed = await talk.say(
        execute("insert into t(v) values (?)", "x"), execute("select * from t"), CLOSE
    )

    assert inserted["response"]["result"] == {
        "cols": [],
        "rows": [],
        "affected_row_count": 1,
        "last_insert_rowid": "1",
    }
    assert found["response"]["result"] == {
        "cols": [
            {"name": "id", "decltype": "INTEGER"},
            {"name": "v", "decltype": None},
        ],
        "rows": [[value(1), value("x")]],
        "affected_row_count": 0,
        "last_insert_rowid": None,
    }
    assert closed == {"type": "ok", "response": {"type": "close"}}
    assert talk.baton is None


async def test_a_transaction_lives_from_one_request_to_the_next(
    node: Node, talk: Talk
) -> None:
    await talk.say(execute("begin immediate"))
    first = talk.baton
    await talk.say(execute("insert into t(v) values (1)"))
    assert talk.baton not in (None, first)
    assert await count(node) == 0
    assert (await talk.say({"type": "get_autocommit"}))[0]["response"] == {
        "type": "get_autocommit",
        "is_autocommit": False,
    }
    await talk.say(execute("commit"), CLOSE)

    assert await count(node) == 1


async def test_a_closed_stream_takes_its_transaction_back(
    node: Node, talk: Talk
) -> None:
    *_, late = await talk.say(
        execute("begin"), execute("insert into t(v) values (1)"), CLOSE, execute("x")
    )

    assert late["error"]["code"] == "STREAM_CLOSED"
    await run(node, "insert into t(v) values (2)")
    assert await count(node) == 1


async def test_a_baton_is_good_for_one_request(talk: Talk) -> None:
    await talk.say(execute("begin immediate"))
    used = talk.baton
    await talk.say(execute("insert into t(v) values (1)"))
    stolen = await talk.post("/v2/pipeline", {"baton": used, "requests": []})

    assert (stolen.status_code, stolen.json()["code"]) == (409, "BATON_REUSED")
    assert await talk.rows("select v from t") == [["1"]]


@pytest.mark.parametrize("path", ["/v2/pipeline", "/v3/pipeline", "/v3/cursor"])
async def test_a_baton_that_is_not_ours_is_told_apart_from_nothing(
    talk: Talk, path: str
) -> None:
    await talk.say(execute("select 1"))
    assert talk.baton is not None
    parts = talk.baton.split(".")
    forged = (
        "",
        "nonsense",
        "a.b.c.d",
        ".".join([parts[0], parts[1], f"{parts[2]}t", "0" * 64]),
        ".".join([parts[0], "other", "7t", parts[3]]),
        ".".join(["n0", parts[1], "7t", parts[3]]),
        f"{talk.baton}.",
    )
    for baton in forged:
        body = {"baton": baton, "requests": [], "batch": {"steps": []}}
        answer = await talk.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (404, "STREAM_EXPIRED")
        assert answer.headers["Content-Type"] == "application/json"
    assert await talk.rows("select 1") == [["1"]]


async def test_an_abandoned_transaction_frees_the_writer(crowd: Crowd) -> None:
    node = await crowd.node("b", limits__idle_transaction_ms=500)
    await run(node, "create table t(v)")
    async with talk_to(node) as talk:
        await talk.say(execute("begin immediate"), execute("insert into t values (1)"))
        await run(node, "insert into t values (2)")  # waits for the idle limit

        told = await talk.failure(execute("insert into t values (3)"))
        assert told["code"] == "TRANSACTION_TIMEOUT"
        assert (await talk.failure(execute("commit")))["code"] == "TRANSACTION_TIMEOUT"
        assert await count(node) == 1


async def test_who_vanishes_in_a_transaction_leaves_no_stream(
    node: Node, talk: Talk
) -> None:
    body = {"requests": [execute("begin immediate")]}
    request = talk.client.build_request("POST", "/v3/pipeline", json=body)
    sent: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": request.content, "more_body": False},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    transport: Any = talk.client._transport
    scope = {
        "type": "http",
        "path": "/v3/pipeline",
        "method": "POST",
        "headers": [(b"content-type", b"application/json")],
    }
    await transport.app(scope, receive, send)

    assert transport.app._hrana._streams.count == 0
    await run(node, "insert into t(v) values (1)")


async def test_texts_are_stored_for_a_stream(talk: Talk) -> None:
    store = {"type": "store_sql", "sql_id": 7, "sql": "select ?"}
    stored = {"type": "execute", "stmt": {"sql_id": 7, "args": [value(3)]}}
    _, found, again, _, missing = await talk.say(
        store, stored, store, {"type": "close_sql", "sql_id": 7}, stored
    )

    assert found["response"]["result"]["rows"] == [[value(3)]]
    assert again["error"]["code"] == "SQL_TEXT_INVALID"
    assert missing["error"]["code"] == "SQL_TEXT_INVALID"
    both = {"type": "sequence", "sql": "select 1", "sql_id": 7}
    assert (await talk.failure(both))["code"] == "SQL_TEXT_INVALID"


async def test_a_batch_runs_the_steps_whose_conditions_hold(
    node: Node, talk: Talk
) -> None:
    ok, error = {"type": "ok", "step": 0}, {"type": "error", "step": 0}
    steps: list[dict[str, Any]] = [
        {"stmt": stmt("insert into missing values (1)")},
        {"stmt": stmt("insert into t(v) values (1)"), "condition": ok},
        {"stmt": stmt("insert into t(v) values (2)"), "condition": error},
        {
            "stmt": stmt("insert into t(v) values (3)"),
            "condition": {"type": "and", "conds": [error, {"type": "is_autocommit"}]},
        },
        {
            "stmt": stmt("insert into t(v) values (4)"),
            "condition": {"type": "not", "cond": {"type": "or", "conds": [ok]}},
        },
        {"stmt": stmt("select 1"), "condition": {"type": "ok", "step": 5}},
    ]
    [batch] = await talk.say({"type": "batch", "batch": {"steps": steps}})
    result = batch["response"]["result"]

    ran = [each is not None for each in result["step_results"]]
    assert ran == [False, False, True, True, True, False]
    told = [each and each["code"] for each in result["step_errors"]]
    assert told == ["SQLITE_ERROR", None, None, None, None, "BAD_REQUEST"]
    assert await count(node) == 3


async def test_a_sequence_stops_at_its_first_error(node: Node, talk: Talk) -> None:
    script = "insert into t(v) values (1); insert into t(v) values (1); delete from t;"
    told = await talk.failure({"type": "sequence", "sql": script})
    good = {"type": "sequence", "sql": "begin; insert into t(v) values (2); commit"}
    await talk.say(good, CLOSE)

    assert told["code"] == "SQLITE_CONSTRAINT"
    assert await count(node) == 2


async def test_a_statement_is_described(talk: Talk) -> None:
    sql = "insert into t(v) values (coalesce(?, :x, ?3, @y)) returning v as z"
    [told] = await talk.say({"type": "describe", "sql": sql})

    assert told["response"]["result"] == {
        "params": [{"name": None}, {"name": ":x"}, {"name": "?3"}, {"name": "@y"}],
        "cols": [{"name": "z", "decltype": None}],
        "is_explain": False,
        "is_readonly": False,
    }
    several = {"type": "describe", "sql": "select 1; select 2"}
    assert (await talk.failure(several))["code"] == "SQL_MANY_STATEMENTS"


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        (stmt("select 1; select 2"), "SQL_MANY_STATEMENTS"),
        (stmt(" -- nothing"), "SQL_NO_STATEMENT"),
        (stmt("selec 1"), "SQLITE_ERROR"),
        (stmt("select ?"), "ARGS_INVALID"),
        (stmt("select ?", 1, 2), "ARGS_INVALID"),
        (
            stmt("select 1", named_args=[{"name": "a", "value": value(1)}]),
            "ARGS_INVALID",
        ),
        (stmt("attach 'x' as y"), "STATEMENT_REFUSED"),
        (stmt("insert into t values (1, 1), (1, 2)"), "SQLITE_CONSTRAINT"),
        ({"args": []}, "SQL_TEXT_INVALID"),
        (stmt("select ?", 2**63), "ARGS_INVALID"),
    ],
)
async def test_what_is_wrong_with_a_statement_is_told_by_its_code(
    talk: Talk, statement: dict[str, Any], code: str
) -> None:
    told = await talk.failure({"type": "execute", "stmt": statement})

    assert told["code"] == code
    assert told["message"]


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "does not fit"),
        (b"{}", "requests"),
        (b'{"requests": [{"type": "dance"}]}', "dance"),
        (b'{"requests": [{"type": "execute"}]}', "stmt"),
        (b'{"baton": 5, "requests": []}', "baton"),
        (
            b'{"requests": [{"type": "execute", "stmt": {"sql": "x", "args": '
            b'[{"type": "blob", "base64": "?"}]}}]}',
            "base64",
        ),
        (b'{"requests": ' + b"[" * 100_000, "does not fit"),
    ],
)
async def test_a_malformed_body_is_refused_with_the_place(
    talk: Talk, body: bytes, part: str
) -> None:
    answer = await talk.client.post("/v2/pipeline", content=body, headers=JSON_HEADERS)

    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
    assert part in answer.json()["message"]


async def test_conditions_within_conditions_have_a_limit(talk: Talk) -> None:
    condition: dict[str, Any] = {"type": "is_autocommit"}
    for _ in range(60):
        condition = {"type": "not", "cond": condition}
    steps = [{"stmt": stmt("select 1"), "condition": condition}]
    [batch] = await talk.say({"type": "batch", "batch": {"steps": steps}})

    [told] = batch["response"]["result"]["step_errors"]
    assert "within more than 50" in told["message"]


async def test_an_answer_that_is_too_large_is_refused_and_a_cursor_gives_it(
    talk: Talk,
) -> None:
    sql = (
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 40) "
        "select i, zeroblob(1000000) from n"
    )
    assert (await talk.failure(execute(sql)))["code"] == "RESPONSE_TOO_LARGE"

    begin, *rows, end = await talk.cursor({"stmt": stmt(sql)})
    assert [col["name"] for col in begin["cols"]] == ["i", "zeroblob(1000000)"]
    assert [row["row"][0]["value"] for row in rows] == [str(n) for n in range(1, 41)]
    assert end == {
        "type": "step_end",
        "affected_row_count": 0,
        "last_insert_rowid": None,
    }


async def test_a_cursor_runs_a_batch(node: Node, talk: Talk) -> None:
    entries = await talk.cursor(
        {"stmt": stmt("begin")},
        {"stmt": stmt("insert into t(v) values (1) returning v")},
        {"stmt": stmt("selec 1")},
        {"stmt": stmt("select 1"), "condition": {"type": "ok", "step": 2}},
        {"stmt": stmt("select v from t", want_rows=False)},
        {"stmt": stmt("commit")},
    )

    assert [(entry["type"], entry.get("step")) for entry in entries] == [
        ("step_begin", 0),
        ("step_end", None),
        ("step_begin", 1),
        ("row", None),
        ("step_end", None),
        ("step_error", 2),
        ("step_begin", 4),
        ("step_end", None),
        ("step_begin", 5),
        ("step_end", None),
    ]
    assert await count(node) == 1
    assert await talk.rows("select v from t") == [["1"]]


async def test_a_cursors_reader_that_leaves_goes_on_with_its_stream(
    node: Node, talk: Talk
) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) "
    steps = [{"stmt": stmt("begin")}, {"stmt": stmt(f"{endless}select i from n")}]
    request = talk.client.build_request(
        "POST", "/v3/cursor", json={"batch": {"steps": steps}}
    )
    pieces: list[bytes] = []
    enough = asyncio.Event()
    messages = [{"type": "http.request", "body": request.content, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pieces.append(message.get("body", b""))
        if len(pieces) > 5:
            enough.set()
            await asyncio.sleep(0)

    transport: Any = talk.client._transport
    scope = {
        "type": "http",
        "path": "/v3/cursor",
        "method": "POST",
        "headers": [(b"content-type", b"application/json")],
    }
    await transport.app(scope, receive, send)

    assert len(pieces) > 5
    assert transport.app._hrana._streams.count == 1
    told = json.loads(b"".join(pieces).partition(b"\n")[0])
    wanted = ("select v from t", "rollback", "insert into t(v) values (3)")
    answer = await talk.post(
        "/v3/pipeline",
        {
            "baton": told["baton"],
            "requests": [
                {"type": "get_autocommit"},
                *({"type": "execute", "stmt": stmt(sql)} for sql in wanted),
                {"type": "close"},
            ],
        },
    )
    state, *rest = answer.json()["results"]
    assert state["response"]["is_autocommit"] is False
    assert [each["type"] for each in rest] == ["ok"] * 4
    assert await count(node) == 1
    await until(lambda: node._parts.views._count == 0)


async def test_the_calls_of_the_first_version_know_no_stream(
    node: Node, talk: Talk
) -> None:
    inserted = await talk.post(
        "/v1/execute", {"stmt": stmt("insert into t(v) values (1)")}
    )
    steps = [{"stmt": stmt("begin")}, {"stmt": stmt("insert into t(v) values (2)")}]
    batch = await talk.post("/v1/batch", {"batch": {"steps": steps}})
    refused = await talk.post(
        "/v1/execute", {"stmt": stmt("insert into t values (1, 1)")}
    )

    assert inserted.json()["result"]["last_insert_rowid"] == "1"
    assert inserted.headers["nexus-offset"] == "3"
    assert batch.json()["result"]["step_errors"] == [None, None]
    assert (refused.status_code, refused.json()["code"]) == (409, "SQLITE_CONSTRAINT")
    await run(node, "delete from t where v = 9")
    assert await count(node) == 1


async def test_every_value_comes_back_as_it_was_sent(talk: Talk) -> None:
    sent: list[dict[str, Any]] = [
        value(None),
        value(2**63 - 1),
        value(-(2**63)),
        value(0.1),
        value("zażółć \u0000 gęślą"),
        {"type": "blob", "base64": "AP8="},
        {"type": "blob", "base64": ""},
    ]
    places = ", ".join("?" * len(sent))
    statement = {"sql": f"select {places}", "args": sent}
    [found] = await talk.say({"type": "execute", "stmt": statement})
    assert found["response"]["result"]["rows"] == [sent]

    unpadded = {"sql": "select ?", "args": [{"type": "blob", "base64": "AP8"}]}
    [found] = await talk.say({"type": "execute", "stmt": unpadded})
    assert found["response"]["result"]["rows"] == [[{"type": "blob", "base64": "AP8="}]]
    assert await talk.rows("select 9e999, -9e999") == [[float("inf"), float("-inf")]]


async def test_arguments_are_found_by_name_and_by_place(talk: Talk) -> None:
    named = [
        {"name": "a", "value": value(1)},
        {"name": "$b", "value": value(2)},
        {"name": "@c", "value": value(3)},
    ]
    statement = {
        "sql": "select :a, $b, @c, ?, ?7",
        "args": [value(9)] * 7,
        "named_args": named,
    }
    [found] = await talk.say({"type": "execute", "stmt": statement})

    row = found["response"]["result"]["rows"][0]
    assert [each["value"] for each in row] == ["1", "2", "3", "9", "9"]


async def test_a_client_that_does_not_read_its_cursor_is_cut_off(node: Node) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) "
    steps = [{"stmt": stmt(f"{endless}select i, zeroblob(10000) from n")}]
    body = msgspec.json.encode({"batch": {"steps": steps}})
    head = (
        "POST /v3/cursor HTTP/1.1\r\nhost: node\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    limits = HttpLimits(read_timeout_s=0.5)
    async with HttpServer(node, "127.0.0.1:0", limits) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head.encode() + body)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await until(lambda: node._parts.views._count == 1)
        await until(lambda: node._parts.views._count == 0)
        assert server._application._hrana._streams.count == 1  # until it has idled
        writer.close()


class Broken(FakeNode):
    """A node with a fault of ours."""

    @override
    def open_stream(self) -> SqlStream:
        raise ZeroDivisionError


class Leaderless(FakeNode):
    """A node in a cluster that elects."""

    @override
    def writer(self) -> object:
        raise NoMasterError("an election is under way")


@pytest.mark.parametrize("path", ["/v2/pipeline", "/v3/pipeline", "/v3/cursor"])
async def test_a_stream_that_is_lost_alone_is_told_to_be_closed(
    talk: Talk, path: str
) -> None:
    await talk.say(execute("select 1"))
    assert talk.baton is not None
    node, _, number, seal = talk.baton.split(".")
    for lost in (f"{node}.other.{number}.{seal}", f"n0.other.1.{seal}"):
        requests = [execute("delete from t"), {"type": "get_autocommit"}]
        body = {"baton": lost, "requests": requests, "batch": {"steps": []}}
        answer = await talk.post(path, body)
        first, *rest = map(msgspec.json.decode, answer.text.splitlines())

        assert (answer.status_code, first["baton"]) == (200, None)
        told = rest or first["results"]
        assert [each["error"]["code"] for each in told] == ["STREAM_EXPIRED"] * (
            1 if rest else 2
        )


async def test_who_has_lost_a_transaction_is_told_so_until_it_ends_it(
    talk: Talk,
) -> None:
    await talk.say(execute("begin"), execute("insert into t(v) values (1)"))
    assert talk.baton is not None
    node, _, number, seal = talk.baton.split(".")
    assert number.endswith("t")
    lost = f"{node}.other.{number}.{seal}"
    insert = execute("insert into t(v) values (2)")
    within = await talk.post("/v3/pipeline", {"baton": lost, "requests": [insert]})
    ends = [execute("rollback"), {"type": "get_autocommit"}, CLOSE]
    ended = await talk.post("/v3/pipeline", {"baton": lost, "requests": ends})

    assert (within.status_code, within.json()["code"]) == (404, "STREAM_EXPIRED")
    assert (ended.status_code, ended.json()["baton"]) == (200, None)
    told = [each["error"]["code"] for each in ended.json()["results"]]
    assert told == ["STREAM_EXPIRED"] * 3
    await talk.say(execute("rollback"))
    assert not talk.baton.split(".")[2].endswith("t")


async def test_a_cursor_that_begins_a_transaction_says_so_in_its_baton(
    talk: Talk,
) -> None:
    for sql, holds in (("select 1", False), ("begin", True), ("select 1", True)):
        await talk.cursor({"stmt": stmt(sql)})
        assert talk.baton is not None
        assert talk.baton.split(".")[2].endswith("t") is holds


async def test_a_fault_of_ours_is_told_as_one_and_raised_for_the_log(
    tmp_path: Path,
) -> None:
    async with talk_to(Broken(tmp_path)) as talk:
        with pytest.raises(ZeroDivisionError):
            await talk.post("/v2/pipeline", {"requests": []})


async def test_without_a_master_a_node_answers_for_itself(tmp_path: Path) -> None:
    async with talk_to(Leaderless(tmp_path)) as talk:
        assert await talk.rows("select 1") == [["1", "x"]]
        other = await talk.post("/v2/pipeline", {"baton": "n9.a.1t.b", "requests": []})

    assert (other.status_code, other.json()["code"]) == (404, "STREAM_EXPIRED")


@pytest.mark.parametrize("path", ["/v2/pipeline", "/v3/pipeline"])
async def test_who_declares_no_media_type_is_understood_as_rusts_and_gos_clients_are(
    talk: Talk, path: str
) -> None:
    # As the crate `libsql` writes it, fields that are null included.
    body = (
        b'{"baton":null,"requests":[{"type":"batch","batch":{"steps":[{"condition":'
        b'null,"stmt":{"sql":"select 1","sql_id":null,"args":[],"named_args":[],'
        b'"want_rows":true,"replication_index":null}}],"replication_index":null}},'
        b'{"type":"get_autocommit"},{"type":"close"}]}'
    )
    request = talk.client.build_request("POST", path, content=body)
    assert "content-type" not in request.headers
    answer = await talk.client.send(request)

    batch, autocommit, closed = answer.json()["results"]
    assert batch["response"]["result"]["step_results"][0]["rows"] == [[value(1)]]
    assert autocommit["response"]["is_autocommit"] is True
    assert closed["type"] == "ok"


async def test_what_a_page_sends_without_a_media_type_is_refused(talk: Talk) -> None:
    refused = await talk.client.post(
        "/v3/pipeline", content=b'{"requests":[]}', headers={"Origin": "http://node"}
    )
    assert (refused.status_code, refused.json()["code"]) == (415, "MEDIA_TYPE")


async def test_protocol_buffers_are_declined(talk: Talk) -> None:
    asked = await talk.client.get("/v3-protobuf")
    sent = await talk.client.post(
        "/v3/pipeline", content=b"x", headers={"Content-Type": "application/x-protobuf"}
    )
    assert (asked.status_code, sent.status_code) == (404, 415)


async def test_a_cursor_is_bounded_only_where_the_writer_would_hold_its_rows(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus.api.hrana.stream.ANSWER_BYTES", 10_000)
    many = {
        "stmt": stmt(
            "with recursive n(i) as (select 1 union all select i + 1 from n limit 5000)"
            " select i from n"
        )
    }
    assert len(await talk.cursor(many)) == 5002
    await talk.say(execute("begin"))
    assert len(await talk.cursor(many)) == 5002
    await talk.say(execute("insert into t(v) values (1)"))
    [refused] = await talk.cursor(many)
    few = await talk.cursor({"stmt": stmt("select v from t")})

    assert refused["type"] == "step_error"
    assert refused["error"]["code"] == "RESPONSE_TOO_LARGE"
    assert [entry["type"] for entry in few] == ["step_begin", "row", "step_end"]
