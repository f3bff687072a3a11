"""A transaction on a node over HTTP that may span entries: a Hrana stream."""

from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import httpx
import msgspec

from nexus.api.forward import EPOCH, OFFSET
from nexus.api.hrana.messages import (
    AutocommitRequest,
    Batch,
    BatchRequest,
    BatchStep,
    CloseRequest,
    NotCond,
    OkCond,
    PipelineBody,
    Stmt,
    StreamRequest,
)
from nexus.api.hrana.results import (
    AutocommitResponse,
    BatchResponse,
    BatchResult,
    HranaError,
    OkResult,
    PipelineAnswer,
    StmtResult,
)
from nexus.api.hrana.values import read_value
from nexus.cli.answer import Answer, Rows
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import NodeCallError, Remote
from nexus.errors import NexusError
from nexus.model.pragmas import setting_of
from nexus.model.statements import CONTROL, StatementKind, classify

PIPELINE: Final = "/v3/pipeline"

_OFF: Final = "pragma foreign_keys = off"

_LOST: Final = (
    "the transaction that was open is lost, and nothing of it happened unless this "
    "entry has committed it: look, then begin it again"
)

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(PipelineAnswer).decode


class StepError(NodeCallError):
    """One of several statements was refused; `before` is what those before it gave."""

    def __init__(
        self, message: str, index: int, error: HranaError, before: list[Rows]
    ) -> None:
        super().__init__(
            message,
            status=HTTPStatus.BAD_REQUEST,
            index=index,
            error_offset=error.error_offset,
        )
        self.before = before


class NodeStream:
    """Statements of one transaction after another; for one thread at a time."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._baton: str | None = None
        self._offset = 0
        """Of the last write that was told."""
        self.foreign_keys = True
        """Whether they are enforced, as a PRAGMA said: each new stream is told."""

    @property
    def is_in_transaction(self) -> bool:
        """Whether one is open, as far as the node has told."""
        return self._baton is not None

    def run(self, statements: list[str], *, as_one: bool = False) -> Answer:
        """Run them as `run_each` does, and tell the number of the one at fault.

        As one: in a transaction of their own.
        """
        try:
            return self.run_each(statements, as_one=as_one)
        except StepError as error:
            error.args = (f"{error} (statement {error.index + 1})",)
            raise

    def run_each(self, statements: list[str], *, as_one: bool = False) -> Answer:
        """Run them up to the first error, each as it stands; raises NexusError."""
        before = [] if self.foreign_keys or self._baton is not None else [_OFF]
        before += ["begin"] if as_one else []
        steps = [
            BatchStep(Stmt(text), OkCond(index - 1) if index else None)
            for index, text in enumerate([*before, *statements])
        ]
        if as_one:
            last = len(steps)
            steps.append(BatchStep(Stmt("commit"), OkCond(last - 1)))
            steps.append(BatchStep(Stmt("rollback"), NotCond(OkCond(last))))
        is_told = any(map(sets_foreign_keys, statements))
        if is_told:
            steps.append(BatchStep(Stmt("pragma foreign_keys")))
        # Until the answer has come, the transaction counts as lost.
        baton, self._baton = self._baton, None
        try:
            answer, response = self._ask(
                baton, BatchRequest(Batch(steps)), AutocommitRequest()
            )
        except NexusError as error:
            if baton is not None:
                error.add_note(_LOST)
            raise
        ran, state = (_response(result) for result in answer.results)
        assert isinstance(ran, BatchResponse), "that was asked first"
        assert isinstance(state, AutocommitResponse), "that was asked then"
        self._baton = answer.baton
        if state.is_autocommit:
            self.close()
        if is_told and (told := ran.result.step_results[-1]) is not None:
            self.foreign_keys = read_value(told.rows[0][0]) == 1
        answered = self._answered(statements, ran.result, len(before))
        return self._placed(answered, response.headers)

    def close(self) -> None:
        """Take back what is not committed."""
        baton, self._baton = self._baton, None
        if baton is not None:
            with suppress(NexusError):  # the node closes it by itself before long
                self._ask(baton, CloseRequest())

    def _ask(
        self, baton: str | None, *requests: StreamRequest
    ) -> tuple[PipelineAnswer, httpx.Response]:
        response = self._remote.send(
            "POST",
            PIPELINE,
            content=_encode(PipelineBody([*requests], baton)),
            headers={"Content-Type": "application/json"},
        )
        try:
            return _decode(response.content), response
        except msgspec.DecodeError as error:
            raise NotDoneError(
                f"{self._remote.url}{PIPELINE} did not answer in Hrana ({error}); is "
                "this a Nexus node?"
            ) from None

    def _answered(
        self, statements: list[str], result: BatchResult, before: int
    ) -> list[Rows]:
        found: list[Rows] = []
        for index, (step, error) in enumerate(
            zip(result.step_results, result.step_errors, strict=True), -before
        ):
            if error is not None:
                raise StepError(
                    f"{self._remote.url}: {error.message}", index, error, found
                )
            if step is not None and 0 <= index < len(statements):
                found.append(_rows(statements[index], step))
        return found

    def _placed(self, found: list[Rows], headers: httpx.Headers) -> Answer:
        offset = int(headers.get(OFFSET.decode(), 0))
        if offset in (0, self._offset):
            return Answer(found)
        self._offset = offset
        return Answer(found, offset, int(headers[EPOCH.decode()]), "committed")


def sets_foreign_keys(sql: str) -> bool:
    """Whether it is `PRAGMA foreign_keys = …`, which is a connection's own matter."""
    if classify(sql) is not StatementKind.PRAGMA:
        return False
    with suppress(NexusError):  # it names another schema: the node says so
        name, value = setting_of(sql)
        return name == "foreign_keys" and bool(value)
    return False


def _response(result: Any) -> object:
    if isinstance(result, OkResult):
        return result.response
    raise NotDoneError(result.error.message)


def _rows(statement: str, step: StmtResult) -> Rows:
    counts = step.last_insert_rowid is not None and classify(statement) not in CONTROL
    return Rows(
        tuple(column.name for column in step.cols),
        [tuple(map(read_value, row)) for row in step.rows],
        step.affected_row_count if counts else -1,
        int(step.last_insert_rowid or 0),
    )
