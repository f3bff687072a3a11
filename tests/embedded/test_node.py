"""A node inside this process, on an event loop in a thread of its own."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import nexus
from nexus.embedded.node import EmbeddedNode
from nexus.errors import ConfigurationError, NodeStoppedError, StorageError
from nexus.model.cluster import Role

INSERT = "insert into t values (?)"


def opened(directory: Path, **flags: Any) -> EmbeddedNode:
    return nexus.open(directory, bind="127.0.0.1:0", http_addr="127.0.0.1:0", **flags)


def loops() -> int:
    """Threads of embedded nodes that run."""
    return sum(t.name == "nexus-loop" for t in threading.enumerate())


def test_it_takes_writes_and_gives_them_back_after_it_was_closed(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, role="master") as node:
        assert node.status().role is Role.MASTER
        with node.connect(autocommit=True) as connection:
            connection.execute("create table t(v)")
            connection.execute(INSERT, (1,))
    assert loops() == 0

    with opened(tmp_path) as again, again.connect() as connection:
        assert connection.execute("select v from t").fetchall() == [(1,)]


LEFT = """
import sys, nexus
node = nexus.open(sys.argv[1], bind="127.0.0.1:0", http_addr="127.0.0.1:0")
connection = node.connect()
connection.execute("create table t(v)")
connection.execute("insert into t values (1)")
"""


AT_EXIT = """
import atexit, sys, nexus
node = nexus.open(sys.argv[1], bind="127.0.0.1:0", http_addr="127.0.0.1:0")
connection = node.connect(autocommit=True)
connection.execute("create table t(v integer primary key)")

@atexit.register
def ends():
    place = connection.last_position
    connection.execute("insert into t values (1)")
    with connection.changes(since=place, limit=1) as feed:
        print([change.new for change in feed])
    with nexus.connect(f"nexus://{node.node._parts.address}") as client:
        print(client.execute("select count(*) from t").fetchall())
    node.close()
    with nexus.open(sys.argv[1]) as again, again.connect() as reader:
        print(reader.execute("select v from t").fetchall())
"""


def test_a_handler_of_atexit_may_write_and_close_the_node(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", AT_EXIT, tmp_path],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert "Error" not in done.stderr
    assert [line for line in done.stdout.splitlines() if line[0] == "["] == [
        "[{'v': 1}]",
        "[(1,)]",
        "[(1,)]",
    ]


def test_a_program_that_leaves_a_transaction_open_ends(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", LEFT, tmp_path],
        check=True,
        capture_output=True,
        timeout=120,
    )

    with opened(tmp_path) as node, node.connect() as connection:
        assert connection.execute("select v from t").fetchall() == []


def test_a_replica_is_waited_for_until_it_has_the_write(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "a", role="master") as master,
        opened(
            tmp_path / "b", role="replica", master=master.node._parts.address
        ) as replica,
        master.connect(autocommit=True) as connection,
    ):
        connection.execute("create table t(v)")
        connection.execute(INSERT, (1,))
        replica.wait_for(None)
        replica.wait_for(connection.last_position, timeout=20.0)
        assert connection.last_position is not None
        replica.wait_for(connection.last_position.offset, timeout=20.0)

        with replica.connect() as reader:
            assert reader.execute("select v from t").fetchall() == [(1,)]
        position = connection.last_position
        assert position is not None
        ahead = nexus.Position(position.epoch, type(position.offset)(10**6))
        with pytest.raises(TimeoutError):
            replica.wait_for(ahead, timeout=0.01)


def test_a_closed_node_gives_no_connections_and_closes_once(tmp_path: Path) -> None:
    node = opened(tmp_path)
    node.close()
    node.close()

    with pytest.raises(NodeStoppedError, match="open it again"):
        node.connect()
    assert loops() == 0


def test_a_start_that_fails_ends_its_thread(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no_such_key"):
        opened(tmp_path / "a", no_such_key=1)
    with opened(tmp_path / "b"):
        with pytest.raises(StorageError):
            opened(tmp_path / "b")
        assert loops() == 1
    assert loops() == 0


def test_a_node_that_its_settings_do_not_allow_begins_no_thread(tmp_path: Path) -> None:
    no_certificate = tmp_path / "node.crt"
    no_certificate.write_text("no PEM")
    files = str(no_certificate)

    with pytest.raises(ConfigurationError, match="cannot be used"):
        opened(tmp_path / "data", tls__cert_file=files, tls__key_file=files)

    assert loops() == 0


def test_two_nodes_of_one_process_do_not_mix(tmp_path: Path) -> None:
    with opened(tmp_path / "a") as one, opened(tmp_path / "b") as other:
        with one.connect(autocommit=True) as connection:
            connection.execute("create table t(v)")
        with other.connect() as connection, pytest.raises(nexus.StatementError):
            connection.execute("select v from t")
        assert one.status().node_id != other.status().node_id
