import logging

import httpx
import msgspec
import pytest

from api.fake_node import JSON_HEADERS, FakeNode, client_of
from nexus.errors import (
    ConstraintError,
    NodeStoppedError,
    OutcomeUnknownError,
    RefusedStatementError,
    StatementError,
    TransactionTooLargeError,
    WritesStoppedError,
)
from nexus.model.cluster import Outcome
from nexus.node.requests import SqlRequest, SqlResponse, SqlResult, SqlStatement

INSERT = {"statements": [{"sql": "insert into t values (?)", "params": [1]}]}


async def test_statements_reach_the_node_and_its_answer_comes_back(
    node: FakeNode,
) -> None:
    body = {
        "statements": [{"sql": "select :a", "params": {"a": {"$blob": "AA=="}}}],
        "transaction": False,
        "consistency": "session",
        "min_offset": 5,
        "transaction_id": "t1",
    }

    async with client_of(node) as client:
        answer = await client.post("/sql", json=body)

    assert node.asked == [
        SqlRequest(
            [SqlStatement("select :a", {"a": b"\0"})],
            transaction=False,
            consistency="session",
            min_offset=5,
            transaction_id="t1",
        )
    ]
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {
        "results": [
            {
                "columns": ["a", "b"],
                "rows": [[1, "x"]],
                "rows_affected": 0,
                "last_insert_rowid": 0,
            }
        ],
        "offset": 13,
        "epoch": 2,
        "outcome": "committed",
        "durable_on": 1,
    }


async def test_blobs_and_large_integers_come_back_exactly(node: FakeNode) -> None:
    rows = [(b"\xff", 2**53 + 1)]
    node.answer = SqlResponse(
        [SqlResult(("a", "b"), rows, 0, 0)], 0, 2, Outcome.COMMITTED, 1
    )

    async with client_of(node) as client:
        answer = await client.post("/sql", json=INSERT)

    assert answer.json()["results"][0]["rows"] == [[{"$blob": "/w=="}, 2**53 + 1]]


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "does not fit"),
        (b"{}", "statements"),
        (b'{"statements": []}', "at least one"),
        (b'{"statements": [{"sql": 1}]}', "$.statements[0].sql"),
        (b'{"statements": [{"sql": "x", "parms": []}]}', "parms"),
        (b'{"statements": [], "consistency": "eventual"}', "consistency"),
        (b'{"statements": [], "min_offset": -1}', "min_offset"),
        (b'{"statements": [{"sql": "x", "params": [[]]}]}', "statements[0].params[0]"),
        (b'{"statements": [{"sql": "x", "params": [1e999]}]}', "out of range"),
        (b'{"statements": [], "transaction_id": "' + b"x" * 201 + b'"}', "201"),
        (
            b'{"statements": [{"sql": "x", "params": ' + b"[" * 100_000,
            "nested too deeply",
        ),
    ],
)
async def test_a_malformed_request_is_refused_with_the_place(
    node: FakeNode, body: bytes, part: str
) -> None:
    async with client_of(node) as client:
        answer = await client.post("/sql", content=body, headers=JSON_HEADERS)

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert part in answer.json()["detail"]
    assert node.asked == []


async def test_a_body_that_is_not_declared_as_json_is_refused(node: FakeNode) -> None:
    async with client_of(node) as client:
        answer = await client.post("/sql", content=msgspec.json.encode(INSERT))

    assert (answer.status_code, answer.json()["code"]) == (415, "media_type")


@pytest.mark.parametrize(
    ("error", "status", "member"),
    [
        (StatementError("near x: syntax error", index=3), 400, ("index", 3)),
        (ConstraintError("UNIQUE constraint failed: t.a", index=1), 409, ("index", 1)),
        (RefusedStatementError("ATTACH", index=0), 422, ("index", 0)),
        (
            TransactionTooLargeError(size_bytes=9, limit_bytes=8),
            413,
            ("code", "transaction_too_large"),
        ),
        (OutcomeUnknownError("late", offset=7), 504, ("offset", 7)),
        (WritesStoppedError("two masters"), 503, ("code", "writes_stopped")),
        (NodeStoppedError("stopping"), 503, ("code", "node_stopped")),
    ],
)
async def test_an_error_of_the_node_is_a_problem_with_what_it_knows(
    node: FakeNode, error: Exception, status: int, member: tuple[str, object]
) -> None:
    node.error = error

    async with client_of(node) as client:
        answer = await client.post("/sql", json=INSERT)

    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert problem["detail"] == str(error)
    assert problem[member[0]] == member[1]
    assert problem["what_to_do"]
    assert ("Retry-After" in answer.headers) == (status == 503)


async def test_a_bug_is_a_500_and_is_raised_for_the_log(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    node.error = ZeroDivisionError("innards")

    async with client_of(node) as client:
        with pytest.raises(ZeroDivisionError):
            await client.post("/sql", json=INSERT)


async def test_a_caller_who_leaves_is_dropped(node: FakeNode) -> None:
    async def leave() -> httpx.Response:
        async with client_of(node) as client:
            application = client._transport.app  # type: ignore[attr-defined]
        sent: list[object] = []

        async def receive() -> dict[str, str]:
            return {"type": "http.disconnect"}

        async def send(message: object) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "path": "/sql",
            "method": "POST",
            "headers": [(b"content-type", b"application/json")],
        }
        await application(scope, receive, send)
        assert sent == []
        return httpx.Response(200)

    await leave()
    assert node.asked == []
