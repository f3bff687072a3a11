"""The change feed of a node in this process."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import nexus
from client.test_control import NotingSession
from nexus.model.change import Place


@pytest.fixture
def node(tmp_path: Path) -> Iterator[nexus.EmbeddedNode]:
    with nexus.open(tmp_path, role="master", bind="127.0.0.1:0") as node:
        with node.connect() as connection:
            connection.execute("create table t(id integer primary key, v)")
        yield node


def test_a_connection_reads_what_was_committed_with_its_values(
    node: nexus.EmbeddedNode,
) -> None:
    connection = node.connect()
    with connection:
        connection.executemany(
            "insert into t(v) values (?)", [(b"\0",), (float("inf"),), (None,)]
        )

    found = list(connection.changes(since=2, follow=False))

    assert [change.new for change in found] == [
        {"id": 1, "v": b"\0"},
        {"id": 2, "v": float("inf")},
        {"id": 3, "v": None},
    ]
    assert connection.last_position is not None
    assert Place.parse(found[-1].id) == Place(connection.last_position)
    assert list(connection.changes(since=connection.last_position, follow=False)) == []
    assert list(connection.changes(since=found[0].id, limit=1)) == found[1:2]
    assert list(connection.changes(since=2, until=3, tables=["T"])) == found
    assert list(connection.changes(since=2, until=3, tables=["u"])) == []


def test_a_thread_that_follows_is_given_what_comes(node: nexus.EmbeddedNode) -> None:
    found: list[nexus.Change] = []

    def follow() -> None:
        connection = node.connect()
        found.extend(connection.changes(since="0", limit=3, heartbeat_s=0.01))

    thread = threading.Thread(target=follow)
    thread.start()
    connection = node.connect(autocommit=True)
    connection.execute("insert into t(v) values (1)")
    connection.execute("insert into t(v) values (2)")
    thread.join(20)

    assert [change.op for change in found] == ["schema", "insert", "insert"]


def test_errors_are_those_of_a_connection(node: nexus.EmbeddedNode) -> None:
    connection = node.connect()

    with pytest.raises(nexus.PositionLostError) as lost:
        next(connection.changes(since=Place.parse("1:2@another")))
    assert isinstance(lost.value, nexus.OperationalError)
    connection.close()
    with pytest.raises(nexus.ProgrammingError, match="closed"):
        connection.changes()


def test_a_feed_that_is_stopped_ends_where_it_waits(node: nexus.EmbeddedNode) -> None:
    waiting = node.connect().changes()
    timer = threading.Timer(0.1, waiting.stop)
    timer.start()
    left = node.connect().changes(since=0)
    first = next(left)
    left.close()
    with node.connect().changes(since=0) as unbegun:
        unbegun.stop()

    assert list(waiting) == []
    assert first.op == "schema"
    assert [list(left), list(unbegun)] == [[], []]


def test_a_node_without_http_has_no_feed_for_other_processes(
    node: nexus.EmbeddedNode,
) -> None:
    far = nexus.connect(f"nexus://{node.node._parts.address}")

    with pytest.raises(nexus.ProgrammingError, match="listens for no HTTP"):
        far.changes()
    far.close()


def test_a_session_without_a_feed_says_so() -> None:
    connection = nexus.Connection(NotingSession())

    with pytest.raises(nexus.NotSupportedError, match=r"nexus\.changes"):
        connection.changes()
