"""PostgreSQL 15: a primary, two streaming standbys, any one of them synchronous."""

import asyncio
import os
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
from peers.tools import (
    POSTGRES_BIN,
    give_directory,
    owner_for,
    pairs,
    pgbench_rate,
    run,
)

STANDBYS: Final = ("s1", "s2")
SYNCHRONOUS: Final = "ANY 1 (s1, s2)"
USER: Final = "bench"
TABLE: Final = (
    "create table bench(id bigint generated always as identity primary key, "
    "number integer, text text)"
)
INSERT: Final = "insert into bench(number, text) values (:n, '{}');"
SCRIPT: Final = "\n".join(["\\set n random(1, 100000)", INSERT.format(TEXT), ""])
STATES: Final = "select application_name, sync_state from pg_stat_replication"
SETTINGS: Final = (
    "select name, setting from pg_settings where name in ('fsync', "
    "'synchronous_commit', 'full_page_writes', 'synchronous_standby_names')"
)
WANTED: Final = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "synchronous_standby_names": SYNCHRONOUS,
}


def doubts(states: dict[str, str], settings: dict[str, str]) -> tuple[str, ...]:
    """Why this primary's commits would not have waited for a standby."""
    found = [
        f"standby {name} is {states.get(name, 'gone')}, not quorum"
        for name in STANDBYS
        if states.get(name) != "quorum"
    ]
    found += [
        f"{name} is {settings.get(name, 'unknown')}, not {value}"
        for name, value in WANTED.items()
        if settings.get(name) != value
    ]
    return tuple(found)


class PostgreSQL:
    """The system, while it runs; see `running`."""

    name = "PostgreSQL"
    settings = (
        f"synchronous_standby_names = '{SYNCHRONOUS}', synchronous_commit = on, fsync "
        "on, else the defaults; pgbench with prepared statements over a Unix socket"
    )

    def __init__(self, root: Path, ports: dict[str, int], owner: str | None) -> None:
        self._root = root
        self._ports = ports
        self._owner = owner
        self.version = run([str(POSTGRES_BIN / "postgres"), "--version"]).strip()

    async def commit(self, count: int) -> float:
        """`count` commits of 64 clients."""
        before = await asyncio.to_thread(self._doubts)
        if before:
            raise NotDoneError(f"PostgreSQL is not synchronous: {before[0]}")
        threads = min(4, os.cpu_count() or 1)
        output = await asyncio.to_thread(
            run,
            [
                *self._client("pgbench", "primary"),
                *("--no-vacuum", "--protocol", "prepared", "--client", str(CLIENTS)),
                *("--jobs", str(threads), "--transactions", str(count // CLIENTS)),
                *("--file", str(self._root / "insert.sql"), "postgres"),
            ],
            owner=self._owner,
            timeout_s=LOAD_TIMEOUT_S,
        )
        return pgbench_rate(output, count)

    async def evidence(self, rows: int) -> Evidence:
        """The standbys' rows, and their states on the primary."""
        shown = await asyncio.to_thread(self._counted, rows)
        found = await asyncio.to_thread(self._doubts)
        return Evidence(shown, found, "both standbys' sync_state is quorum")

    def _counted(self, rows: int) -> tuple[int, ...]:
        def count(name: str) -> str:
            return self.ask(name, "select count(*) from bench")

        return counted(count, STANDBYS, rows)

    def _doubts(self) -> tuple[str, ...]:
        states = pairs(self.ask("primary", STATES))
        return doubts(states, pairs(self.ask("primary", SETTINGS)))

    def ask(self, server: str, sql: str) -> str:
        """What psql prints: values alone, tabs between."""
        options = ["--no-psqlrc", "--no-align", "--tuples-only", "--field-separator=\t"]
        command = [*self._client("psql", server), *options, "--command", sql]
        return run([*command, "postgres"], owner=self._owner)

    def _client(self, tool: str, server: str) -> list[str]:
        port = str(self._ports[server])
        return [
            str(POSTGRES_BIN / tool),
            *("--host", str(self._root), "--port", port, "--username", USER),
        ]

    def prepare_primary(self) -> None:
        """Its directory and its configuration."""
        (self._root / "insert.sql").write_text(SCRIPT)
        data = str(self._root / "primary")
        tool = str(POSTGRES_BIN / "initdb")
        options = ["--auth=trust", f"--username={USER}", "--encoding=UTF8"]
        run([tool, "--pgdata", data, *options], owner=self._owner)

    def prepare_standby(self, name: str) -> None:
        """A copy of the primary that will stream from it."""
        target = str(self._root / name)
        tool = self._client("pg_basebackup", "primary")
        slot = ["--create-slot", f"--slot={name}", "--checkpoint=fast"]
        run(
            [*tool, "--pgdata", target, "--write-recovery-conf", *slot],
            owner=self._owner,
        )
        settings = (
            f"host=127.0.0.1 port={self._ports['primary']} user={USER} "
            f"application_name={name}"
        )
        with (self._root / name / "postgresql.auto.conf").open("a") as file:
            file.write(f"primary_conninfo = '{settings}'\n")

    def start(self, name: str) -> ServerProcess:
        """One server; returns once it answers."""
        server = ServerProcess(
            [
                str(POSTGRES_BIN / "postgres"),
                *("-D", str(self._root / name), "-p", str(self._ports[name])),
                *("-c", "listen_addresses=127.0.0.1"),
                *("-c", f"unix_socket_directories={self._root}"),
            ],
            self._root / f"{name}.log",
            owner=self._owner,
            cwd=self._root,
        )
        return server.answering(
            lambda: self.ask(name, "select 1"), else_how=signal.SIGQUIT
        )

    def make_synchronous(self) -> None:
        """From now on each commit waits for any one standby."""
        sql = f"alter system set synchronous_standby_names = '{SYNCHRONOUS}'"
        self.ask("primary", TABLE)
        self.ask("primary", sql)
        self.ask("primary", "select pg_reload_conf()")
        deadline = time.monotonic() + START_TIMEOUT_S
        while found := self._doubts():
            if time.monotonic() > deadline:
                raise NotDoneError(f"PostgreSQL does not replicate: {found[0]}")
            time.sleep(POLL_S)


@contextmanager
def running(ground: Ground) -> Iterator[PostgreSQL]:
    """Three servers from nothing; all are ended."""
    owner = owner_for("postgres")
    give_directory(ground.root, owner)
    ports = {name: free_port() for name in ("primary", *STANDBYS)}
    system = PostgreSQL(ground.root, ports, owner)
    servers: list[ServerProcess] = []
    ground.tell("PostgreSQL starts")
    try:
        system.prepare_primary()
        servers.append(system.start("primary"))
        for name in STANDBYS:
            system.prepare_standby(name)
            servers.append(system.start(name))
        system.make_synchronous()
        yield system
    finally:
        # The primary first: it ends once the standbys have all that it wrote.
        for server in servers:
            server.stop(signal.SIGINT)
