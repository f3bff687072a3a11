"""SQL on a cluster over the native protocol, one session for a whole shell."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import nexus
from nexus.cli.native import NativeSource
from nexus.errors import StatementError


@pytest.fixture
def source(tmp_path: Path) -> Iterator[NativeSource]:
    with nexus.open(
        tmp_path, role="master", bind="127.0.0.1:0", cluster_secret="hush-hush-hush"
    ) as node:
        address = node.node._parts.address
        found = NativeSource(f"nexus://:hush-hush-hush@{address}", "")
        found.run("create table t(id integer primary key, v)")
        yield found
        found.close()


def count(source: NativeSource) -> int:
    (found,) = source.run("select count(*) from t").results
    return int(found.rows[0][0])


def test_a_transaction_may_span_entries(source: NativeSource) -> None:
    source.run("begin")
    held = source.run("insert into t(v) values (1)")
    assert (held.offset, held.results[0].rows_affected) == (0, 1)
    source.run("rollback")
    assert count(source) == 0

    source.run("begin; insert into t(v) values (1)")
    source.run("insert into t(v) values (2); insert into t(v) values (3)")
    committed = source.run("commit")

    assert committed.offset > 0
    assert committed.outcome == "committed"
    assert count(source) == 3


def test_several_statements_are_one_transaction(source: NativeSource) -> None:
    with pytest.raises(StatementError) as told:
        source.run(
            "insert into t values (1, 1); select 1; insert into nowhere values (1)"
        )

    assert vars(told.value)["index"] == 2
    assert count(source) == 0
    done = source.run("insert into t values (1, 1); select id, v from t where false")
    assert done.offset > 0
    assert done.results[1].columns == ("id", "v")
    assert done.results[0].last_insert_rowid == 1


def test_its_name_tells_no_secret(source: NativeSource) -> None:
    assert source.name.startswith("nexus://127.0.0.1:")
