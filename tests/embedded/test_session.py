"""DB-API connections of a node in this process, and what becomes of a transaction."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nexus
from nexus.client.connection import Connection
from nexus.embedded.node import EmbeddedNode
from nexus.errors import TransactionExpiredError

Embedded = tuple[EmbeddedNode, Connection]

INSERT = "insert into t values (?)"


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Embedded]:
    """A node that soon ends idle transactions, and one client of it."""
    with nexus.open(
        tmp_path / "data",
        bind="127.0.0.1:0",
        http_addr="127.0.0.1:0",
        limits__idle_transaction_ms=20,
    ) as node:
        with node.connect() as other:
            other.execute("create table t(v)")
        yield node, node.connect()


def idle_for_too_long(node: EmbeddedNode) -> None:
    with node.connect(autocommit=True) as other:
        other.execute(INSERT, ("other's",))  # waits for the idle limit


@pytest.mark.parametrize(
    "action",
    [
        lambda connection: connection.execute(INSERT, ("second half",)),
        lambda connection: connection.execute("select v from t"),
        lambda connection: connection.executescript("insert into t values (2)"),
        lambda connection: connection.execute("savepoint s"),
        Connection.commit,
    ],
    ids=["insert", "select", "script", "savepoint", "commit"],
)
def test_a_client_that_lost_its_transaction_is_told_before_anything_else_is_done(
    impatient: Embedded, action: Callable[[Connection], object]
) -> None:
    node, connection = impatient
    connection.execute(INSERT, ("first half",))
    idle_for_too_long(node)

    with pytest.raises(TransactionExpiredError):
        action(connection)
    connection.commit()

    assert not connection.in_transaction
    assert connection.execute("select v from t").fetchall() == [("other's",)]


def test_a_client_that_was_told_begins_anew(impatient: Embedded) -> None:
    node, connection = impatient
    connection.execute(INSERT, ("lost",))
    idle_for_too_long(node)
    with pytest.raises(TransactionExpiredError):
        connection.commit()

    connection.execute(INSERT, ("kept",))
    connection.commit()

    rows = connection.execute("select v from t order by v").fetchall()
    assert rows == [("kept",), ("other's",)]
