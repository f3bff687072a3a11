"""Tell from a request's texts whether a replica can carry it out by itself.

A stream lives on one node. A replica keeps one as long as it only reads; from the first
request on that writes, or begins a transaction that may, the whole stream is the
master's, and the replica passes its requests on.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from nexus.api.hrana.messages import (
    Batch,
    BatchRequest,
    CloseRequest,
    ExecuteRequest,
    SequenceRequest,
    StoreSqlRequest,
    StreamRequest,
)
from nexus.errors import NexusError
from nexus.model.pragmas import PragmaUse, read_pragma, setting_of
from nexus.model.statements import BeginMode, StatementKind, begin_mode, classify, split

_HERE: Final = (
    StatementKind.READ,
    StatementKind.EMPTY,
    StatementKind.COMMIT,
    StatementKind.ROLLBACK,
)


def needs_master(
    requests: Sequence[StreamRequest], stored: Mapping[int, str] | None = None
) -> bool:
    """Whether something in it is to be written, or may be in a later request.

    `stored` holds the texts that the requests may name by an id.
    """
    ends = any(isinstance(request, CloseRequest) for request in requests)
    known = dict(stored or {})
    return any(_writes(text, ends=ends) for text in _texts(requests, known))


def batch_needs_master(batch: Batch, stored: Mapping[int, str], *, ends: bool) -> bool:
    """The same for a batch; `ends`: the stream ends with it."""
    return any(_writes(text, ends=ends) for text in _batch_texts(batch, stored))


def _texts(requests: Iterable[StreamRequest], known: dict[int, str]) -> Iterable[str]:
    for request in requests:
        match request:
            case StoreSqlRequest():
                known[request.sql_id] = request.sql
            case ExecuteRequest():
                yield _text(request.stmt.sql, request.stmt.sql_id, known)
            case BatchRequest():
                yield from _batch_texts(request.batch, known)
            case SequenceRequest():
                yield from split(_text(request.sql, request.sql_id, known))
            case _:
                continue


def _batch_texts(batch: Batch, known: Mapping[int, str]) -> Iterable[str]:
    for step in batch.steps:
        yield _text(step.stmt.sql, step.stmt.sql_id, known)


def _text(sql: str | None, sql_id: int | None, known: Mapping[int, str]) -> str:
    return sql if sql is not None else known.get(sql_id or 0, "")


def _writes(text: str, *, ends: bool) -> bool:
    kind = classify(text)
    if kind in _HERE:
        return False
    if kind is StatementKind.BEGIN:
        mode = begin_mode(text)
        return mode is BeginMode.AT_ONCE or not (ends or mode is BeginMode.READ_ONLY)
    return kind is not StatementKind.PRAGMA or _sets(text)


def _sets(text: str) -> bool:
    try:
        name, value = setting_of(text)
        if name == "foreign_keys":
            return bool(value)
        return read_pragma(text).use is not PragmaUse.READ
    except NexusError:
        return False  # it is refused here as it would be there
