"""A program connects with one line."""

from pathlib import Path

import pytest

import nexus


def test_a_cluster_is_used_as_sqlite_is(tmp_path: Path) -> None:
    with nexus.open(tmp_path, role="master", bind="127.0.0.1:0") as node:
        url = f"nexus://{node.node._parts.address}"
        with nexus.connect(url, timeout=20) as connection:
            connection.execute("create table t(v)")
            connection.execute("insert into t values (?)", ("a",))
        connection.row_factory = nexus.Row
        assert connection.execute("select v from t").fetchone()["v"] == "a"
        connection.close()


def test_what_cannot_be_connected_to_is_told_as_pep_249_says() -> None:
    with pytest.raises(nexus.ProgrammingError, match="no address of a cluster"):
        nexus.connect("sqlite://x")
    with pytest.raises(nexus.OperationalError, match="answers queries"):
        nexus.connect("nexus://127.0.0.1:1", timeout=0.05)
