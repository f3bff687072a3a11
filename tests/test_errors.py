"""Every error can be told from the others, by type and by code."""

import inspect

import pytest

from nexus import errors
from nexus.errors import (
    ApplyConflictError,
    ConstraintError,
    HandshakeRefusedError,
    NexusError,
    OutcomeUnknownError,
    ReadOnlyReplicaError,
    RefusedStatementError,
    TransactionTooLargeError,
)

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, NexusError)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_has_a_code_of_its_own_and_says_what_it_means(
    kind: type[NexusError],
) -> None:
    assert "code" in vars(kind)
    assert [other for other in KINDS if other.code == kind.code] == [kind]
    assert kind.__doc__


def test_the_tree_in_the_docstring_names_every_error() -> None:
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in KINDS if kind.__name__ not in drawn] == []


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


def test_an_error_carries_what_its_catcher_needs() -> None:
    assert ReadOnlyReplicaError("write there", master_url="http://m").master_url
    assert OutcomeUnknownError("in the log", offset=8).offset == 8
    assert HandshakeRefusedError("no", reason="cluster").reason == "cluster"
    conflict = ApplyConflictError("row is missing", table="t", key="1")
    assert (conflict.table, conflict.key) == ("t", "1")
