from typing import Any

import msgspec
import pytest

from nexus.api.hrana.messages import Batch, StreamRequest
from nexus.api.hrana.routing import batch_needs_master, needs_master


def requests(*texts: str, close: bool = False) -> list[StreamRequest]:
    said: list[Any] = [{"type": "execute", "stmt": {"sql": text}} for text in texts]
    said += [{"type": "close"}] if close else []
    return msgspec.convert(said, list[StreamRequest])


@pytest.mark.parametrize(
    "text",
    [
        "select 1",
        "begin transaction readonly",
        "commit",
        "rollback",
        "pragma table_info(t)",
        "pragma foreign_keys",
        "pragma synchronous = off",
        "",
    ],
)
def test_what_only_reads_stays_on_a_replica(text: str) -> None:
    assert not needs_master(requests(text))


@pytest.mark.parametrize(
    "text",
    [
        "insert into t values (1)",
        "create table t(x)",
        "begin",
        "begin immediate",
        "savepoint a",
        "pragma user_version = 2",
        "pragma foreign_keys = off",
        "vacuum",
        "attach 'x' as y",
    ],
)
def test_what_writes_or_may_write_later_is_the_masters(text: str) -> None:
    assert needs_master(requests("select 1", text))


def test_a_transaction_that_ends_with_its_request_may_only_read() -> None:
    assert not needs_master(requests("begin", "select 1", "commit", close=True))
    assert needs_master(requests("begin immediate", close=True))
    assert needs_master(requests("begin", "delete from t", close=True))


def test_stored_texts_and_scripts_are_looked_into() -> None:
    said = [
        {"type": "store_sql", "sql_id": 1, "sql": "delete from t"},
        {"type": "execute", "stmt": {"sql_id": 1}},
    ]
    script = [{"type": "sequence", "sql": "select 1; delete from t"}]
    batch = {"steps": [{"stmt": {"sql_id": 1}}]}

    assert needs_master(msgspec.convert(said, list[StreamRequest]))
    assert not needs_master(msgspec.convert(said[:1], list[StreamRequest]))
    assert needs_master(msgspec.convert(said[1:], list[StreamRequest]), {1: "vacuum"})
    assert needs_master(msgspec.convert(script, list[StreamRequest]))
    assert needs_master(
        msgspec.convert([{"type": "batch", "batch": batch}], list[StreamRequest]),
        {1: "delete from t"},
    )
    told = msgspec.convert(batch, Batch)
    assert not batch_needs_master(told, {}, ends=True)
    assert batch_needs_master(told, {1: "delete from t"}, ends=True)
    described = [{"type": "describe", "sql": "delete from t"}]
    assert not needs_master(msgspec.convert(described, list[StreamRequest]))
