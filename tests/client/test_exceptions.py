"""The exceptions of PEP 249, made of Nexus's own errors."""

import pickle

import pytest

from nexus import errors
from nexus.client import exceptions
from nexus.client.exceptions import translated


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.StatementError("x", sqlite_errorcode=1), "OperationalError"),
        (errors.StatementError("x", sqlite_errorcode=18), "DataError"),
        (errors.StatementError("x", sqlite_errorcode=20), "IntegrityError"),
        (errors.StatementError("it is not UTF-8"), "OperationalError"),
        (errors.ConstraintError("x", sqlite_errorcode=2067), "IntegrityError"),
        (errors.RefusedStatementError("x"), "NotSupportedError"),
        (errors.TransactionExpiredError("x"), "OperationalError"),
        (errors.OutcomeUnknownError("x", offset=3), "OperationalError"),
        (errors.ProtocolError("x"), "InterfaceError"),
        (errors.CorruptLogError("x"), "DatabaseError"),
    ],
)  # fmt: skip
def test_an_error_is_of_its_class_in_pep_249_and_of_its_own(
    error: errors.NexusError, kind: str
) -> None:
    told = translated(error)

    assert isinstance(told, getattr(exceptions, kind))
    assert isinstance(told, type(error))
    assert isinstance(told, exceptions.Error)
    assert (told.code, str(told)) == (error.code, str(error))


def test_an_error_keeps_what_nexus_knows_of_it() -> None:
    told = translated(errors.OutcomeUnknownError("may still commit", offset=7))

    assert isinstance(told, errors.OutcomeUnknownError)
    assert told.offset == 7


def test_sqlites_own_code_has_its_name() -> None:
    unique = translated(errors.ConstraintError("x", sqlite_errorcode=2067))
    unheard = translated(errors.StatementError("x", sqlite_errorcode=99))

    assert unique.sqlite_errorcode == 2067
    assert unique.sqlite_errorname == "SQLITE_CONSTRAINT_UNIQUE"
    assert unheard.sqlite_errorname == "unknown"
    assert exceptions.OperationalError("x").sqlite_errorname is None


def test_what_is_translated_already_stays_itself() -> None:
    error = exceptions.ProgrammingError("closed")

    assert translated(error) is error


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ProgrammingError("closed"),
        translated(errors.OutcomeUnknownError("may still commit", offset=7)),
        translated(errors.TransactionTooLargeError(size_bytes=2, limit_bytes=1)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_travels_between_processes(error: exceptions.Error) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error)
    assert (str(again), again.__dict__) == (str(error), error.__dict__)


def test_the_hierarchy_is_that_of_pep_249() -> None:
    below = {
        exceptions.DataError,
        exceptions.OperationalError,
        exceptions.IntegrityError,
        exceptions.InternalError,
        exceptions.ProgrammingError,
        exceptions.NotSupportedError,
    }

    assert all(issubclass(kind, exceptions.DatabaseError) for kind in below)
    assert not issubclass(exceptions.InterfaceError, exceptions.DatabaseError)
    assert not issubclass(exceptions.Warning, exceptions.Error)
