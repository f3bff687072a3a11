"""Which session `nexus.connect` means."""

import socket
from pathlib import Path
from typing import Any

import pytest

import nexus
from client.interrupts import interrupted_while
from nexus.client.connecting import in_this_process
from nexus.client.local import LocalSession
from nexus.embedded.session import NodeSession


def session_of(connection: nexus.Connection) -> Any:
    return connection.require_open().session


def test_a_directory_is_read_here_unless_its_node_is_in_this_process(
    tmp_path: Path,
) -> None:
    with nexus.open(tmp_path, bind="127.0.0.1:0", http_addr="127.0.0.1:0"):
        with nexus.connect(tmp_path / "." / "") as own:
            own.execute("create table t(a)")
            own.execute("insert into t values (1)")
        assert isinstance(session_of(own), NodeSession)
        own.close()
    assert tmp_path.resolve() not in in_this_process

    connection = nexus.connect(str(tmp_path), detect_types=1, isolation_level=None)
    assert isinstance(session_of(connection), LocalSession)
    assert connection.execute("select a from t").fetchall() == [(1,)]
    assert connection.isolation_level is None
    connection.close()


def test_what_cannot_be_connected_to_is_an_error_of_pep_249(tmp_path: Path) -> None:
    with pytest.raises(nexus.OperationalError) as caught:
        nexus.connect(tmp_path / "nowhere")
    assert caught.value.code == "no_database"


@pytest.mark.parametrize("target", ["http://a:15474", "sqlite:///x.db", "file://x"])
def test_a_url_of_another_scheme_is_no_directory(target: str) -> None:
    with pytest.raises(nexus.ProgrammingError, match="a cluster's is nexus://HOST"):
        nexus.connect(target)


@pytest.mark.parametrize("target", ["", ":memory:"])
def test_no_database_is_in_memory(target: str) -> None:
    with pytest.raises(nexus.ProgrammingError, match="makes one"):
        nexus.connect(target)


def test_a_database_file_is_answered_with_its_directory(tmp_path: Path) -> None:
    path = tmp_path / "nexus.db"
    path.touch()
    with pytest.raises(nexus.ProgrammingError, match=str(tmp_path.resolve()) + ","):
        nexus.connect(path)


def test_a_path_may_be_of_bytes(tmp_path: Path) -> None:
    with pytest.raises(nexus.OperationalError) as caught:
        nexus.connect(bytes(tmp_path / "nowhere"))
    assert caught.value.code == "no_database"


def test_a_factory_makes_the_connection_and_may_fail(tmp_path: Path) -> None:
    class Mine(nexus.Connection):
        pass

    with nexus.open(tmp_path, bind="127.0.0.1:0", http_addr="127.0.0.1:0"):
        connection = nexus.connect(tmp_path, factory=Mine)
        assert type(connection) is Mine
        connection.close()
        with pytest.raises(ValueError, match="isolation_level"):
            nexus.connect(tmp_path, isolation_level="none of them")


def test_a_cluster_is_used_as_sqlite_is(tmp_path: Path) -> None:
    with nexus.open(tmp_path, role="master", bind="127.0.0.1:0") as node:
        url = f"nexus://{node.node._parts.address}"
        with nexus.connect(url, timeout=20) as connection:
            connection.execute("create table t(v)")
            connection.execute("insert into t values (?)", ("a",))
        connection.row_factory = nexus.Row
        assert connection.execute("select v from t").fetchone()["v"] == "a"
        connection.close()


def test_a_cluster_that_cannot_be_reached_is_told_as_pep_249_says() -> None:
    with pytest.raises(nexus.ProgrammingError, match="no address of a cluster"):
        nexus.connect("nexus://")
    with pytest.raises(nexus.OperationalError, match="answers queries"):
        nexus.connect("nexus://127.0.0.1:1", timeout=0.05)


@pytest.mark.parametrize("call", ["insert into t values (1)", "begin immediate"])
def test_a_first_write_that_looks_for_its_node_can_be_interrupted(
    tmp_path: Path, call: str
) -> None:
    with nexus.open(tmp_path / "data", role="master", bind="127.0.0.1:0"):
        pass
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    (tmp_path / "data" / "lock").write_text(f"4711\n127.0.0.1:{port}\n")
    connection = nexus.connect(tmp_path / "data", timeout=600, isolation_level=None)

    with pytest.raises(nexus.OperationalError, match="interrupted"):
        interrupted_while(connection.interrupt, lambda: connection.execute(call))
    connection.close()
