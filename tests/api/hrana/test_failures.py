import pytest

from nexus.api.hrana.failures import code_of, refusal
from nexus.errors import (
    AnswerTooLargeError,
    ConstraintError,
    NexusError,
    NoMasterError,
    OutcomeUnknownError,
    StatementError,
    TransactionExpiredError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConstraintError("UNIQUE failed", sqlite_errorcode=2067), "SQLITE_CONSTRAINT"),
        (StatementError("locked", sqlite_errorcode=517), "SQLITE_BUSY"),
        (StatementError("not UTF-8"), "SQLITE_ERROR"),
        (TransactionExpiredError("idle"), "TRANSACTION_TIMEOUT"),
        (AnswerTooLargeError("large"), "RESPONSE_TOO_LARGE"),
        (OutcomeUnknownError("late", offset=7), "OUTCOME_UNKNOWN"),
        (NexusError("bug"), "NEXUS"),
    ],
)
def test_every_error_has_a_code(error: NexusError, code: str) -> None:
    assert code_of(error) == code


def test_a_refusal_says_when_to_try_again() -> None:
    answer = refusal(NoMasterError("none"))

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.body == b'{"message":"none","code":"NO_MASTER"}'
