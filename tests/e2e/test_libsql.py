"""libSQL's own clients, unchanged, against real nodes."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Final

import aiohttp
import libsql_client  # type: ignore[import-untyped]
import pytest
from typing_extensions import override

import nexus
from e2e.cluster import Cluster, NodeProcess, master_of, wait_until

KILLS: Final = int(os.environ.get("CLIENT_KILLS", "2"))

pytestmark = pytest.mark.timeout(400)

SCRIPT: Final = Path(__file__).parent / "libsql" / "client.cjs"
MODULES: Final = Path(sys.prefix) / "libsql" / "node_modules"

NOT_DONE: Final = {"NO_MASTER", "QUORUM_LOST", "READ_ONLY_REPLICA", "UNREACHABLE"}
"""After these a client may send a write again."""
UNKNOWN: Final = {"OUTCOME_UNKNOWN", "NODE_STOPPED", "DISCONNECTED"}
"""After these it may be done or not."""

OF_THE_CLIENT: Final = {"UNREACHABLE", "DISCONNECTED"}
"""What this test calls the errors of the clients' HTTP libraries."""

QUICK: Final = {
    "NEXUS_REPLICATION_MODE": "sync",
    "NEXUS_REPLICATION_HEARTBEAT_MS": "100",
}

Told = list[tuple[int, str]]


def start_node(url: str, *words: str) -> subprocess.Popen[str]:
    """The JavaScript client, in a scenario of the script's."""
    return subprocess.Popen(
        ["node", str(SCRIPT), url, *words],
        env={**os.environ, "NODE_PATH": str(MODULES)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result_of(client: subprocess.Popen[str]) -> Any:
    """What the scenario came to; standard input ends."""
    said, complaints = client.communicate(timeout=120)
    assert client.returncode == 0, complaints
    return json.loads(said)


def test_the_guide_names_every_code_that_a_client_can_meet() -> None:
    guide = (Path(__file__).parents[2] / "docs/guides/libsql.md").read_text()
    raised = {code for code in NOT_DONE | UNKNOWN if code not in OF_THE_CLIENT}

    assert all(f"`{code}`" in guide for code in raised)


@pytest.fixture(params=["master", "replica"])
def node(cluster: Cluster, request: pytest.FixtureRequest) -> NodeProcess:
    """The node that a client is told of: the master, or one that passes on."""
    master = cluster.master()
    if request.param == "master":
        return master
    replica = cluster.replica(master)
    wait_until(lambda: replica.status()["connected"], "connected")
    return replica


# --- JavaScript -----------------------------------------------------------------------


def test_javascript_values_come_back_as_they_were_sent(node: NodeProcess) -> None:
    assert result_of(start_node(node.url, "values")) == {
        "inserted": [1, "1n"],
        "columns": ["a", "b", "c", "d", "e", "f", "kind"],
        "row": [None, f"{2**63 - 1}n", -0.5, "zażółć 🐘", "00ff", "1n", "integer"],
        "named": [1, "x"],
    }


def test_javascript_batches_are_transactions(node: NodeProcess) -> None:
    assert result_of(start_node(node.url, "batches")) == {
        "failed": "SQLITE_CONSTRAINT",
        "refused": "SQLITE_READONLY",
        "read": [1, 7],
        "after": 3,
    }


def test_javascript_transactions_are_interactive(node: NodeProcess) -> None:
    assert result_of(start_node(node.url, "transactions")) == {
        "within": 1,
        "outside": 0,
        "duplicate": "SQLITE_CONSTRAINT",
        "refused": "SQLITE_READONLY",
        "rows": [1, 2, 3],
    }


def test_javascript_errors_have_the_codes_of_the_guide(node: NodeProcess) -> None:
    assert result_of(start_node(node.url, "errors")) == {
        "syntax": "SQLITE_ERROR",
        "constraint": "SQLITE_CONSTRAINT",
        "several": "SQL_MANY_STATEMENTS",
        "none": "SQL_NO_STATEMENT",
        "missing": "ARGS_INVALID",
        "unknown": "ARGS_INVALID",
        "refused": "STATEMENT_REFUSED",
        "large": "RESPONSE_TOO_LARGE",
    }


def test_javascript_streams_describe_and_store_statements(node: NodeProcess) -> None:
    assert result_of(start_node(node.url, "streams")) == {
        "described": {
            "paramNames": [None, ":b"],
            "columns": [
                {"name": "a", "decltype": "INTEGER"},
                {"name": "z", "decltype": "TEXT"},
            ],
            "isExplain": False,
            "isReadonly": False,
        },
        "ran": 1,
        "skipped": True,
        "count": 1,
        "text": "x",
    }


def test_a_client_that_vanishes_in_a_transaction_leaves_nothing_locked(
    cluster: Cluster,
) -> None:
    master = cluster.master(NEXUS_LIMITS_IDLE_TRANSACTION_MS="100")
    master.sql("create table gone(x)")
    result_of(start_node(master.url, "vanish"))
    master.sql("insert into gone values (2)")

    assert master.rows("select x from gone") == [(2,)]


# --- Python ---------------------------------------------------------------------------


async def test_python_runs_statements_and_batches(node: NodeProcess) -> None:
    sent = [None, 2**63 - 1, 0.5, "zażółć", b"\0\xff", True]
    async with libsql_client.create_client(node.url) as client:
        await client.execute("create table p(a, b, c, d, e, f)")
        inserted = await client.execute("insert into p values (?,?,?,?,?,?)", sent)
        found = await client.execute("select * from p where b = :b", {"b": sent[1]})
        batch = await client.batch([
            "insert into p(a) values (1)",
            ("select count(*) from p", []),
        ])  # fmt: skip

    assert (inserted.rows_affected, inserted.last_insert_rowid) == (1, 1)
    assert (found.columns, found[0].astuple()) == (
        ("a", "b", "c", "d", "e", "f"),
        (*sent[:5], 1),
    )
    assert batch[1][0][0] == 2


@pytest.mark.parametrize(
    ("statement", "args", "code"),
    [
        ("selec 1", (), "SQLITE_ERROR"),
        ("select 1; select 2", (), "SQL_MANY_STATEMENTS"),
        ("select ?", (1, 2), "ARGS_INVALID"),
        ("detach main", (), "STATEMENT_REFUSED"),
    ],
)
async def test_python_errors_have_the_codes_of_the_guide(
    cluster: Cluster, statement: str, args: tuple[int, ...], code: str
) -> None:
    async with libsql_client.create_client(cluster.master().url) as client:
        with pytest.raises(libsql_client.LibsqlError) as told:
            await client.execute(statement, args)

    assert told.value.code == code


async def test_a_failed_python_batch_leaves_nothing(cluster: Cluster) -> None:
    master = cluster.master()
    master.sql("create table p(a integer primary key)")
    async with libsql_client.create_client(master.url) as client:
        with pytest.raises(libsql_client.LibsqlError) as told:
            await client.batch(["insert into p values (1)", "insert into p values (1)"])

    assert told.value.code == "SQLITE_CONSTRAINT"
    assert master.rows("select * from p") == []


async def test_python_transactions_are_interactive_over_a_websocket(
    node: NodeProcess,
) -> None:
    url = node.url.replace("http", "ws")
    async with libsql_client.create_client(url) as client:
        await client.execute("create table p(a integer primary key)")
        with client.transaction() as kept:
            await kept.execute("insert into p values (1)")
            with pytest.raises(libsql_client.LibsqlError) as told:
                await kept.execute("insert into p values (1)")
            within = await kept.execute("select count(*) from p")
            outside = await client.execute("select count(*) from p")
            await kept.commit()
        with client.transaction() as dropped:
            await dropped.execute("insert into p values (2)")
            await dropped.rollback()
        with client.transaction() as left:
            await left.execute("insert into p values (3)")
        batch = await client.batch(
            ["insert into p values (4)", ("select count(*) from p where a > ?", [0])]
        )

    assert told.value.code == "SQLITE_CONSTRAINT"
    assert (within[0][0], outside[0][0], batch[1][0][0]) == (1, 0, 2)


# --- While the master dies ------------------------------------------------------------


class PythonLoop(threading.Thread):
    """Writes odd numbers as the script writes even ones."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True, name="python-loop")
        self.told: Told = []
        self.over = threading.Event()
        self._url = url

    @override
    def run(self) -> None:
        asyncio.run(self._write())

    async def _write(self) -> None:
        async with libsql_client.create_client(self._url) as client:
            number = 1
            while not self.over.is_set():
                code = await self._once(client, number)
                self.told.append((number, code))
                if code in NOT_DONE:
                    await asyncio.sleep(0.02)
                else:
                    number += 2

    @staticmethod
    async def _once(client: Any, number: int) -> str:
        try:
            await client.execute("insert into t(number) values (?)", (number,))
        except libsql_client.LibsqlError as error:
            return str(error.code)
        except aiohttp.ClientConnectorError:
            return "UNREACHABLE"
        except aiohttp.ClientError:
            return "DISCONNECTED"
        return "OK"


def goes_on(writer: PythonLoop) -> None:
    """Return once it has written fifty more."""
    enough = len(writer.told) + 50
    wait_until(lambda: len(writer.told) > enough, "writes are done")


@pytest.mark.timeout(300 + 30 * KILLS)
def test_a_killed_master_costs_a_client_no_write_and_does_none_twice(
    cluster: Cluster,
) -> None:
    nodes = cluster.voters(settings=QUICK)
    addresses = ",".join(node.address for node in nodes)
    native = nexus.connect(f"nexus://{addresses}?timeout=60")
    native.execute("create table t(id integer primary key, number int)")
    first = master_of(nodes)
    asked = next(node for node in nodes if node is not first)
    script = start_node(asked.url, "loop", "0")
    python = PythonLoop(asked.url)
    python.start()

    for _ in range(KILLS):
        goes_on(python)
        master = master_of(nodes)
        master.kill()
        master_of(nodes, but=master)
        master.start()
    goes_on(python)
    python.over.set()
    python.join(60.0)
    assert not python.is_alive(), "a client waits for its last answer"
    told: Told = [*python.told, *map(tuple, result_of(script))]

    with native:  # what is undecided is decided once this is acknowledged
        native.execute("insert into t(number) values (-1)")
    kept = Counter(number for (number,) in native.execute("select number from t"))
    native.close()
    by_code = {code: {n for n, c in told if c == code} for _, code in told}
    assert set(by_code) <= {"OK"} | NOT_DONE | UNKNOWN
    assert set(kept.values()) == {1}
    assert by_code["OK"] <= set(kept)
    in_doubt = set().union(*(by_code.get(code, set()) for code in UNKNOWN))
    assert set(kept) <= by_code["OK"] | in_doubt | {-1}
    assert {number % 2 for number in by_code["OK"]} == {0, 1}
