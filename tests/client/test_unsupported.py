"""What only a SQLite of the connection's own could do."""

import sqlite3

import pytest

from client.test_control import NotingSession
from nexus.client.connection import Connection
from nexus.client.exceptions import NotSupportedError
from nexus.client.unsupported import Unsupported

REFUSED = [name for name in vars(Unsupported) if not name.startswith("_")]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_says_so_and_why(name: str) -> None:
    with pytest.raises(NotSupportedError, match=rf"{name} is not supported: \w+"):
        getattr(Connection(NotingSession()), name)("given", 1, more=2)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("set_trace_callback", (None,)),
        ("set_authorizer", (None,)),
        ("set_progress_handler", (None, 100)),
    ],
)
def test_what_watches_may_be_ended_where_none_was_set(
    name: str, given: tuple[object, ...]
) -> None:
    assert getattr(Connection(NotingSession()), name)(*given) is None
    with pytest.raises(NotSupportedError):
        getattr(Connection(NotingSession()), name)()


def test_a_connection_has_all_that_one_of_sqlite3_has() -> None:
    theirs = {name for name in dir(sqlite3.Connection) if not name.startswith("_")}

    assert theirs - set(dir(Connection(NotingSession()))) == set()
