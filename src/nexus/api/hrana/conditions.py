"""Decide which steps of a batch are run."""

from typing import Final, assert_never

from nexus.api.hrana.messages import (
    AndCond,
    AutocommitCond,
    BatchCond,
    ErrorCond,
    NotCond,
    OkCond,
    OrCond,
)
from nexus.errors import RequestError
from nexus.node.sqlstream import SqlStream

MOST_DEEP: Final = 50
"""Conditions within conditions."""


class Conditions:
    """What has become of a batch's steps so far."""

    def __init__(self, sql: SqlStream) -> None:
        self._sql = sql
        self._ok: list[bool] = []
        self._errors: list[bool] = []

    def note(self, *, ok: bool, error: bool) -> None:
        """How the next step ended; neither: it was passed over."""
        self._ok.append(ok)
        self._errors.append(error)

    def hold(self, condition: BatchCond | None) -> bool:
        """Whether the next step is to be run; raises RequestError."""
        return condition is None or self._holds(condition, 0)

    def _holds(self, condition: BatchCond, depth: int) -> bool:
        if depth > MOST_DEEP:
            raise RequestError(f"conditions stand within more than {MOST_DEEP} others")
        match condition:
            case OkCond():
                return self._ok[self._before(condition.step)]
            case ErrorCond():
                return self._errors[self._before(condition.step)]
            case NotCond():
                return not self._holds(condition.cond, depth + 1)
            case AndCond():
                return all(self._holds(each, depth + 1) for each in condition.conds)
            case OrCond():
                return any(self._holds(each, depth + 1) for each in condition.conds)
            case AutocommitCond():
                return self._sql.is_autocommit
            case _:
                assert_never(condition)

    def _before(self, step: int) -> int:
        if step >= len(self._ok):
            raise RequestError(
                f"the condition of step {len(self._ok)} names step {step}, which does "
                "not come before it"
            )
        return step
