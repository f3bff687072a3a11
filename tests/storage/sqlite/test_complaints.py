"""Errors of SQLite and of Python's binding, told as Nexus's own."""

import apsw
import pytest

from nexus.errors import ConstraintError, NexusError, StatementError
from nexus.errors import StorageError as DiskError
from nexus.storage.sqlite.complaints import (
    BINDING_ERRORS,
    binding_error,
    statement_error,
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (apsw.ConstraintError("UNIQUE constraint failed: t.a"), ConstraintError),
        (apsw.SQLError("near x: syntax error"), StatementError),
        (apsw.IOError("disk I/O error"), DiskError),
    ],
)
def test_each_kind_of_sqlites_errors_has_one_of_ours(
    error: apsw.Error, kind: type[NexusError]
) -> None:
    found = statement_error(error, 3)

    assert type(found) is kind
    assert str(error) in str(found)


def test_a_statements_error_names_its_place() -> None:
    found = statement_error(apsw.SQLError("no such table: t"), 3)

    assert isinstance(found, StatementError)
    assert found.index == 3


def test_that_no_extension_is_loaded_is_told_with_the_reason() -> None:
    connection = apsw.Connection(":memory:")

    with pytest.raises(apsw.SQLError) as caught:
        connection.execute("select load_extension('x')").fetchall()

    found = statement_error(caught.value, 0)
    assert str(found).startswith("not authorized: a node loads no extensions")


def test_an_error_keeps_sqlites_extended_code() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("create table t(a unique); insert into t values (1)")

    with pytest.raises(apsw.ConstraintError) as caught:
        connection.execute("insert into t values (1)")
    found = statement_error(caught.value, 0)

    assert isinstance(found, ConstraintError)
    assert found.sqlite_errorcode == apsw.SQLITE_CONSTRAINT_UNIQUE


@pytest.mark.parametrize(
    "parameters",
    [{"b": 1}, (), (object(),), (1 << 70,)],
    ids=["another name", "none", "an object", "too large"],
)
def test_parameters_of_no_use_to_sqlite_are_the_clients_error(
    parameters: object,
) -> None:
    connection = apsw.Connection(":memory:")
    with pytest.raises((*BINDING_ERRORS, apsw.Error)) as caught:
        connection.execute("select :a", parameters)  # type: ignore[arg-type]

    if not isinstance(caught.value, apsw.Error):
        assert isinstance(binding_error(caught.value, 0), StatementError)


def test_a_missing_name_is_named() -> None:
    assert str(binding_error(KeyError("a"), 0)) == "parameter 'a' is missing"
