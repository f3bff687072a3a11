"""MariaDB: a primary, two replicas, semi-synchronous after the sync of its log."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nexus.cli.demo.processes import free_port
from nexus.cli.outcome import NotDoneError
from peers.server import ServerProcess
from peers.system import (
    CLIENTS,
    LOAD_TIMEOUT_S,
    POLL_S,
    START_TIMEOUT_S,
    TEXT,
    Evidence,
    Ground,
    counted,
)
from peers.tools import give_directory, owner_for, pairs, run, sysbench_rate

PRIMARY: Final = "primary"
REPLICAS: Final = ("r1", "r2")
PASSWORD: Final = "replication"  # noqa: S105 - of a server on loopback for minutes
TABLE: Final = (
    "create database bench; create table bench.bench("
    "id bigint auto_increment primary key, number integer, text text)"
)
LOAD: Final = """
function thread_init()
  connection = sysbench.sql.driver():connect()
  insert = connection:prepare("insert into bench(number, text) values (?, ?)")
  number = insert:bind_create(sysbench.sql.type.INT)
  text = insert:bind_create(sysbench.sql.type.VARCHAR, LENGTH)
  insert:bind_param(number, text)
  text:set("TEXT")
end
function event()
  number:set(sysbench.rand.uniform(1, 100000))
  insert:execute()
end
function thread_done()
  insert:close()
  connection:disconnect()
end
""".replace("LENGTH", str(len(TEXT))).replace("TEXT", TEXT)
DURABLE: Final = (
    "--log-bin=bin",
    "--binlog-format=ROW",
    "--sync-binlog=1",
    "--innodb-flush-log-at-trx-commit=1",
    "--gtid-strict-mode=1",
    "--slave-parallel-threads=4",
)
MASTER: Final = "Rpl_semi_sync_master_"
STATUS: Final = f"show global status like '{MASTER}%'"


def doubts(status: dict[str, str], before: dict[str, str], rows: int) -> list[str]:
    """Why not all `rows` commits since `before` would have waited for a replica."""

    def since(name: str) -> int:
        return int(status[MASTER + name]) - int(before[MASTER + name])

    found = []
    if status[MASTER + "status"] != "ON":
        found.append("semi-sync is off")
    if since("no_tx"):
        found.append(f"{since('no_tx'):,} commits did not wait for a replica")
    if since("yes_tx") != rows:
        found.append(f"{since('yes_tx'):,} of {rows:,} commits were acknowledged")
    return found


class MariaDB:
    """The system, while it runs; see `running`."""

    name = "MariaDB"
    settings = (
        "rpl_semi_sync_master with AFTER_SYNC, sync_binlog = 1, "
        "innodb_flush_log_at_trx_commit = 1, slave_parallel_threads = 4, else the "
        "defaults (a replica answers when it has written its relay log, not synced "
        "it); sysbench with prepared statements over a Unix socket"
    )

    def __init__(self, root: Path, owner: str | None) -> None:
        self._root = root
        self._owner = owner
        self._port = free_port()
        self._before: dict[str, str] = {}
        self.version = run(["mariadbd", "--version"]).strip()

    async def commit(self, count: int) -> float:
        """`count` commits of 64 clients."""
        output = await asyncio.to_thread(
            run,
            [
                *("sysbench", "--db-driver=mysql", "--mysql-user=root"),
                *(f"--mysql-socket={self._socket(PRIMARY)}", "--mysql-db=bench"),
                *(f"--threads={CLIENTS}", f"--events={count}", "--time=0"),
                *(str(self._root / "insert.lua"), "run"),
            ],
            owner=self._owner,
            timeout_s=LOAD_TIMEOUT_S,
        )
        return sysbench_rate(output, count)

    async def evidence(self, rows: int) -> Evidence:
        """The replicas' rows, and the primary's own count of acknowledged commits."""
        shown = await asyncio.to_thread(self._counted, rows)
        status = await asyncio.to_thread(self._status)
        found = doubts(status, self._before, rows)
        return Evidence(
            shown, tuple(found), "Rpl_semi_sync_master_yes_tx rose by as many"
        )

    def _counted(self, rows: int) -> tuple[int, ...]:
        def count(name: str) -> str:
            return self.ask(name, "select count(*) from bench.bench")

        return counted(count, REPLICAS, rows)

    def _status(self) -> dict[str, str]:
        return pairs(self.ask(PRIMARY, STATUS))

    def _socket(self, server: str) -> Path:
        return self._root / f"{server}.sock"

    def ask(self, server: str, sql: str) -> str:
        """What the client prints: values alone, tabs between."""
        where = ["--no-defaults", "--user=root", f"--socket={self._socket(server)}"]
        how = ["--batch", "--skip-column-names", "--execute", sql]
        return run(["mariadb", *where, *how], owner=self._owner)

    def start(self, name: str, number: int) -> ServerProcess:
        """One server from nothing; returns once it answers."""
        data = self._root / name
        run(
            [
                *("mariadb-install-db", "--no-defaults", f"--datadir={data}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db"),
            ],
            owner=self._owner,
        )
        port = self._port if name == PRIMARY else free_port()
        server = ServerProcess(
            [
                *("mariadbd", "--no-defaults", f"--datadir={data}", f"--port={port}"),
                *("--bind-address=127.0.0.1", f"--socket={self._socket(name)}"),
                *(f"--server-id={number}", f"--pid-file={data}.pid", *DURABLE),
            ],
            self._root / f"{name}.log",
            owner=self._owner,
            cwd=self._root,
        )
        return server.answering(
            lambda: self.ask(name, "select 1"), else_how=signal.SIGTERM
        )

    def connect(self) -> None:
        """Have the replicas follow, and each commit wait for one of them."""
        (self._root / "insert.lua").write_text(LOAD)
        self.ask(
            PRIMARY,
            f"create user follower@'%' identified by '{PASSWORD}'; "
            "grant replication slave on *.* to follower@'%'; "
            "set global rpl_semi_sync_master_wait_point = AFTER_SYNC; "
            "set global rpl_semi_sync_master_enabled = 1",
        )
        for name in REPLICAS:
            self.ask(
                name,
                "set global rpl_semi_sync_slave_enabled = 1; "
                f"change master to master_host = '127.0.0.1', "
                f"master_port = {self._port}, master_user = 'follower', "
                f"master_password = '{PASSWORD}', master_use_gtid = slave_pos; "
                "start slave",
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while (clients := self._status()[MASTER + "clients"]) != str(len(REPLICAS)):
            if time.monotonic() > deadline:
                raise NotDoneError(f"MariaDB has {clients} semi-sync replicas, not 2")
            time.sleep(POLL_S)
        self.ask(PRIMARY, TABLE)
        self._before = self._status()


@contextmanager
def running(ground: Ground) -> Iterator[MariaDB]:
    """Three servers from nothing; all are ended."""
    owner = owner_for("mysql")
    give_directory(ground.root, owner)
    system = MariaDB(ground.root, owner)
    servers: list[ServerProcess] = []
    ground.tell("MariaDB starts")
    try:
        for number, name in enumerate((PRIMARY, *REPLICAS), start=1):
            servers.append(system.start(name, number))
        system.connect()
        yield system
    finally:
        for server in reversed(servers):
            server.stop(signal.SIGTERM)
