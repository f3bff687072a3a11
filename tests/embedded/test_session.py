"""DB-API connections of a node in this process, and what becomes of a transaction."""

import threading
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
        limits__idle_transaction_ms=1_000,
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


def test_a_transaction_that_reads_leaves_the_writer_to_others(
    impatient: Embedded,
) -> None:
    node, connection = impatient
    connection.execute("begin")
    assert connection.execute("select v from t").fetchall() == []
    idle_for_too_long(node)

    assert connection.execute("select v from t").fetchall() == []
    connection.commit()
    assert connection.execute("select v from t").fetchall() == [("other's",)]


def test_a_connection_that_is_closed_lets_go_of_what_it_held(
    impatient: Embedded,
) -> None:
    node, connection = impatient
    connection.execute("begin")
    connection.execute("select v from t")
    assert len(node.node.views._open) == 1
    connection.close()

    assert len(node.node.views._open) == 0


ENDLESS = (
    "with recursive n(i) as (select 1 union all select i+1 from n) select sum(i) from n"
)


@pytest.mark.parametrize("begin", ["select 1", "begin"])
def test_a_query_is_interrupted_from_another_thread(
    impatient: Embedded, begin: str
) -> None:
    _, connection = impatient
    connection.execute(begin)
    running = threading.Event()

    def interrupt() -> None:
        while not running.is_set():
            connection.interrupt()
            running.wait(0.01)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(nexus.OperationalError) as caught:
            connection.execute(ENDLESS)
    finally:
        running.set()
        thread.join()
    assert caught.value.sqlite_errorname == "SQLITE_INTERRUPT"
    assert connection.execute("select v from t").fetchall() == []


def test_a_vacuum_that_drops_the_table_of_counters_stops_no_writes(
    tmp_path: Path,
) -> None:
    with nexus.open(tmp_path, bind="127.0.0.1:0", http_addr="127.0.0.1:0") as node:
        connection = node.connect(isolation_level=None)
        connection.execute("create table v(a)")
        connection.execute("create table t(id integer primary key autoincrement)")
        connection.execute("drop table v")
        connection.execute("create table v(a primary key)")
        connection.execute("insert into t default values")
        connection.execute("drop table t")
        connection.execute("vacuum")  # sqlite_sequence is empty, and is left out

        connection.execute("insert into v values (1)")
        connection.execute("create table t(id integer primary key autoincrement)")
        connection.execute("insert into t default values")

        counters = connection.execute("select name, seq from sqlite_sequence")
        assert counters.fetchall() == [("t", 1)]
        connection.close()
