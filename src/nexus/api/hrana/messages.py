"""What clients say in Hrana 2 and 3, in JSON, as the specification has it.

Fields that it does not name are ignored, as it asks.
"""

from typing import Annotated

import msgspec

Number32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Step = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]

# --- Values ---------------------------------------------------------------------------


class NullValue(msgspec.Struct, frozen=True, tag="null"):
    """NULL."""


class IntegerValue(msgspec.Struct, frozen=True, tag="integer"):
    """An integer, as text: many a JSON reader knows doubles only."""

    value: Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,19}$")]


class FloatValue(msgspec.Struct, frozen=True, tag="float"):
    """A REAL."""

    value: float


class TextValue(msgspec.Struct, frozen=True, tag="text"):
    """A text."""

    value: str


class BlobValue(msgspec.Struct, frozen=True, tag="blob"):
    """A BLOB, in base64; padding may be left out."""

    base64: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^([A-Za-z0-9+/]{4})*"
            r"([A-Za-z0-9+/]{2}(==)?|[A-Za-z0-9+/]{3}=?)?$"
        ),
    ]


Value = NullValue | IntegerValue | FloatValue | TextValue | BlobValue

# --- Statements -----------------------------------------------------------------------


class NamedArg(msgspec.Struct, frozen=True):
    """An argument by its name, with or without the sign before it."""

    name: str
    value: Value


class Stmt(msgspec.Struct, frozen=True):
    """A statement: `sql` or the id of a stored one."""

    sql: str | None = None
    sql_id: Number32 | None = None
    args: list[Value] = []
    named_args: list[NamedArg] = []
    want_rows: bool | None = None


class OkCond(msgspec.Struct, frozen=True, tag="ok"):
    """The step was run, without an error."""

    step: Step


class ErrorCond(msgspec.Struct, frozen=True, tag="error"):
    """The step was run, with an error."""

    step: Step


class NotCond(msgspec.Struct, frozen=True, tag="not"):
    """The opposite."""

    cond: "BatchCond"


class AndCond(msgspec.Struct, frozen=True, tag="and"):
    """All of them."""

    conds: "list[BatchCond]"


class OrCond(msgspec.Struct, frozen=True, tag="or"):
    """One of them at least."""

    conds: "list[BatchCond]"


class AutocommitCond(msgspec.Struct, frozen=True, tag="is_autocommit"):
    """No transaction is open."""


BatchCond = OkCond | ErrorCond | NotCond | AndCond | OrCond | AutocommitCond


class BatchStep(msgspec.Struct, frozen=True):
    """A statement, and when it is to be run."""

    stmt: Stmt
    condition: BatchCond | None = None


class Batch(msgspec.Struct, frozen=True):
    """Statements that are run one after another."""

    steps: list[BatchStep]


# --- Requests -------------------------------------------------------------------------


class CloseRequest(msgspec.Struct, frozen=True, tag="close"):
    """The stream is needed no more."""


class ExecuteRequest(msgspec.Struct, frozen=True, tag="execute"):
    """Run a statement."""

    stmt: Stmt


class BatchRequest(msgspec.Struct, frozen=True, tag="batch"):
    """Run a batch."""

    batch: Batch


class SequenceRequest(msgspec.Struct, frozen=True, tag="sequence"):
    """Run a script up to its first error; its rows are dropped."""

    sql: str | None = None
    sql_id: Number32 | None = None


class DescribeRequest(msgspec.Struct, frozen=True, tag="describe"):
    """Tell what a statement takes and gives."""

    sql: str | None = None
    sql_id: Number32 | None = None


class StoreSqlRequest(msgspec.Struct, frozen=True, tag="store_sql"):
    """Keep a text under an id, for the stream's later requests."""

    sql_id: Number32
    sql: str


class CloseSqlRequest(msgspec.Struct, frozen=True, tag="close_sql"):
    """Forget a text."""

    sql_id: Number32


class AutocommitRequest(msgspec.Struct, frozen=True, tag="get_autocommit"):
    """Tell whether no transaction is open."""


StreamRequest = (
    CloseRequest
    | ExecuteRequest
    | BatchRequest
    | SequenceRequest
    | DescribeRequest
    | StoreSqlRequest
    | CloseSqlRequest
    | AutocommitRequest
)


class PipelineBody(msgspec.Struct, frozen=True):
    """The body of POST /v2/pipeline and /v3/pipeline."""

    requests: list[StreamRequest]
    baton: str | None = None


class CursorBody(msgspec.Struct, frozen=True):
    """The body of POST /v3/cursor."""

    batch: Batch
    baton: str | None = None


class ExecuteBody(msgspec.Struct, frozen=True):
    """The body of POST /v1/execute."""

    stmt: Stmt


class BatchBody(msgspec.Struct, frozen=True):
    """The body of POST /v1/batch."""

    batch: Batch
