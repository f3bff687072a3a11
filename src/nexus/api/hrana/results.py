"""What clients are answered in Hrana 2 and 3, in JSON, as the specification has it."""

import msgspec

from nexus.api.hrana.messages import Value


class HranaError(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why something was not done."""

    message: str
    code: str
    """In capitals; docs/guides/libsql.md lists them."""
    error_offset: int | None = None
    """Beyond Hrana: where in the statement, in bytes, SQLite met it."""


class Col(msgspec.Struct, frozen=True):
    """A column of a result."""

    name: str
    decltype: str | None


class StmtResult(msgspec.Struct, frozen=True):
    """What a statement gave."""

    cols: list[Col]
    rows: list[list[Value]]
    affected_row_count: int
    last_insert_rowid: str | None


class BatchResult(msgspec.Struct, frozen=True):
    """What each step gave; null in both lists for a step that was passed over."""

    step_results: list[StmtResult | None]
    step_errors: list[HranaError | None]


class DescribeParam(msgspec.Struct, frozen=True):
    """A parameter, with the sign before its name; null for `?`."""

    name: str | None


class DescribeResult(msgspec.Struct, frozen=True):
    """What a statement takes and gives."""

    params: list[DescribeParam]
    cols: list[Col]
    is_explain: bool
    is_readonly: bool


class CloseResponse(msgspec.Struct, frozen=True, tag="close"):
    """It is closed."""


class ExecuteResponse(msgspec.Struct, frozen=True, tag="execute"):
    """It was run."""

    result: StmtResult


class BatchResponse(msgspec.Struct, frozen=True, tag="batch"):
    """It was run."""

    result: BatchResult


class SequenceResponse(msgspec.Struct, frozen=True, tag="sequence"):
    """It was run to its end."""


class DescribeResponse(msgspec.Struct, frozen=True, tag="describe"):
    """What the statement takes and gives."""

    result: DescribeResult


class StoreSqlResponse(msgspec.Struct, frozen=True, tag="store_sql"):
    """It is kept."""


class CloseSqlResponse(msgspec.Struct, frozen=True, tag="close_sql"):
    """It is forgotten."""


class AutocommitResponse(msgspec.Struct, frozen=True, tag="get_autocommit"):
    """Whether no transaction is open."""

    is_autocommit: bool


StreamResponse = (
    CloseResponse
    | ExecuteResponse
    | BatchResponse
    | SequenceResponse
    | DescribeResponse
    | StoreSqlResponse
    | CloseSqlResponse
    | AutocommitResponse
)


class OkResult(msgspec.Struct, frozen=True, tag="ok"):
    """A request that was carried out."""

    response: StreamResponse


class ErrorResult(msgspec.Struct, frozen=True, tag="error"):
    """A request that was not."""

    error: HranaError


class PipelineAnswer(msgspec.Struct, frozen=True):
    """The answer of a pipeline: a result for each request, in order."""

    baton: str | None
    """Names the stream in the next request; null once it is closed."""
    base_url: str | None
    """Where to send that; null: to the same address."""
    results: list[OkResult | ErrorResult]


class CursorAnswer(msgspec.Struct, frozen=True):
    """The first line of a cursor's answer."""

    baton: str | None
    base_url: str | None


class StepBegin(msgspec.Struct, frozen=True, tag="step_begin"):
    """A step was run, and gives these columns."""

    step: int
    cols: list[Col]


class StepEnd(msgspec.Struct, frozen=True, tag="step_end"):
    """The step has no more rows."""

    affected_row_count: int
    last_insert_rowid: str | None


class StepError(msgspec.Struct, frozen=True, tag="step_error"):
    """The step failed, perhaps after some rows."""

    step: int
    error: HranaError


class RowEntry(msgspec.Struct, frozen=True, tag="row"):
    """A row of the step."""

    row: list[Value]


class CursorError(msgspec.Struct, frozen=True, tag="error"):
    """The last entry: nobody knows what became of the steps that are left."""

    error: HranaError


CursorEntry = StepBegin | StepEnd | StepError | RowEntry


class ExecuteAnswer(msgspec.Struct, frozen=True):
    """The answer of POST /v1/execute."""

    result: StmtResult


class BatchAnswer(msgspec.Struct, frozen=True):
    """The answer of POST /v1/batch."""

    result: BatchResult
