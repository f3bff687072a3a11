"""An error of a transaction carries what its catcher needs."""

from nexus.errors import (
    ConstraintError,
    OutcomeUnknownError,
    ReadOnlyReplicaError,
    RefusedStatementError,
    TransactionTooLargeError,
)


def test_a_refused_statement_knows_its_place() -> None:
    assert ConstraintError("UNIQUE constraint failed: t.a", index=3).index == 3
    assert RefusedStatementError("ATTACH is refused", index=1).index == 1


def test_a_transaction_that_is_too_large_says_both_sizes() -> None:
    error = TransactionTooLargeError(size_bytes=70, limit_bytes=64)
    assert (error.size_bytes, error.limit_bytes) == (70, 64)
    assert str(error) == (
        "the transaction's changes take 70 bytes, the limit is 64; split it into "
        "smaller transactions"
    )


def test_a_refused_statement_knows_what_sqlite_said_of_it() -> None:
    error = ConstraintError("no such column: b", sqlite_errorcode=1, error_offset=7)
    assert (error.sqlite_errorcode, error.error_offset) == (1, 7)


def test_where_the_write_is_or_belongs_is_named() -> None:
    assert ReadOnlyReplicaError("write there", master_url="http://m").master_url
    assert OutcomeUnknownError("in the log", offset=8).offset == 8
