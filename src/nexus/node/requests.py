"""What a client asks of a node, and what it is answered."""

from typing import Annotated, Any, Final, Literal

import msgspec

from nexus.model.cluster import Outcome

MOST_OFFSET: Final = 2**63 - 1

Consistency = Literal["local", "session", "strong"]


class SqlStatement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One SQL statement with its parameters, by place or by name."""

    sql: str
    params: list[Any] | dict[str, Any] = []


class SqlRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /sql."""

    statements: list[SqlStatement]
    transaction: bool = True
    """One transaction for all statements; false: one for each."""
    consistency: Consistency = "local"
    min_offset: Annotated[int, msgspec.Meta(ge=0, le=MOST_OFFSET)] | None = None
    """With `session`: answer from a state that holds at least this entry."""
    transaction_id: str = ""
    """Idempotency key: a retry under the same id is not done twice."""


class SqlResult(msgspec.Struct, frozen=True):
    """What one statement gave."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    rows_affected: int
    last_insert_rowid: int


class SqlResponse(msgspec.Struct, frozen=True):
    """The answer to POST /sql; `offset` is 0 where nothing was written."""

    results: list[SqlResult]
    offset: int
    epoch: int
    outcome: Outcome
    durable_on: int
    """On how many nodes the write is known to be durable, this one included."""
