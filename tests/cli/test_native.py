"""SQL on a cluster over the native protocol, one session for a whole shell."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import nexus
from certificates import Office
from cli.conftest import Run
from nexus.cli.native import NativeSource
from nexus.cli.sql.completion import read_schema
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


def test_names_are_completed_in_another_thread(source: NativeSource) -> None:
    with ThreadPoolExecutor() as threads:
        schema = threads.submit(read_schema, source).result()

    assert schema.columns["t"] == ("id", "v")


def test_its_name_tells_no_secret(source: NativeSource) -> None:
    assert source.name.startswith("nexus://127.0.0.1:")


def test_over_tls_the_commands_ca_is_trusted_unless_the_url_names_one(
    run: Run, office: Office, tmp_path: Path
) -> None:
    files = office.node()
    with nexus.open(
        tmp_path / "node",
        role="master",
        bind="127.0.0.1:0",
        tls__cert_file=str(files.cert),
        tls__key_file=str(files.key),
    ) as node:
        url = f"nexus://{node.node._parts.address}"
        by_option = run("sql", url, "select 41 + 1", "--ca", office.ca)
        by_url = run("sql", f"{url}?ca={office.ca}", "select 41 + 1", "--ca", "none")
        by_nobody = run("sql", f"{url}?timeout=1", "select 41 + 1")

    assert "42" in by_option.output, by_option.error
    assert "42" in by_url.output, by_url.error
    assert "tls=on" in by_nobody.error
