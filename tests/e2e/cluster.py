"""Real node processes on loopback, for tests that pull the plug."""

import atexit
import multiprocessing
import os
import signal
import socket
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import SystemRandom
from typing import Any, Final, Self

import httpx

from e2e.disks import SmallDisk
from e2e.namespaces import Machine
from e2e.releases import Released
from e2e.serving import serve_as

PORTS: Final = range(10_000, 20_000)
"""Those of `nexus demo` and `nexus bench` begin behind them."""

CHANCE: Final = SystemRandom()
"""Not the tests' own, which is the same in every job."""

START_LIMIT_S = 90.0
"""How long a node may take to answer, or a cluster to come together, in a test."""


# A node is forked from a process that has all modules loaded: a real process, up in
# a tenth of a second.
CONTEXT: Final = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "pytest",
        "e2e.serving",
        "nexus.cli.serve",
        # What a running node loads as it starts.
        "encodings.idna",
        "pydantic.type_adapter",
        "uvicorn.protocols.websockets.websockets_sansio_impl",
    ]
)

CLIENT = httpx.Client(verify=False, trust_env=False, timeout=30.0)
"""One for all calls: making one loads the system's certificates, 50 ms each time."""


MOST_RESERVED: Final = 64
"""More than one test uses."""

RESERVED: Final[deque[socket.socket]] = deque()


def free_port() -> int:
    """A port that nobody listens on, and that no other test takes meanwhile.

    Below those that the system gives to whoever connects: one of them might be
    somebody's until the node is there, or while it is dead. What keeps other jobs of
    the suite from taking it in that time is the same port of UDP, which nobody else
    uses, held by this process.
    """
    while True:
        port = CHANCE.choice(PORTS)
        mark = socket.socket(type=socket.SOCK_DGRAM)
        try:
            mark.bind(("127.0.0.1", port))
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", port))
        except OSError:
            mark.close()
            continue
        RESERVED.append(mark)
        if len(RESERVED) > MOST_RESERVED:
            RESERVED.popleft().close()
        return port


@atexit.register
def _give_ports_back() -> None:
    while RESERVED:
        RESERVED.popleft().close()


def wait_until(
    claim: Callable[[], object], what: str, limit_s: float = START_LIMIT_S
) -> None:
    """Return once `claim` is true; fail with `what` after the limit."""
    deadline = time.monotonic() + limit_s
    last: object = None
    while time.monotonic() < deadline:
        try:
            if claim():
                return
        except (httpx.HTTPError, KeyError, sqlite3.OperationalError) as error:
            last = error
        time.sleep(0.02)
    raise AssertionError(f"not within {limit_s} s: {what} (last error: {last!r})")


@dataclass
class NodeProcess:
    """One `nexus serve`, started and killed as often as a test wants."""

    data_dir: Path
    role: str = "master"
    master_addr: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    log_dir: Path | None = None
    namespace: str = ""
    """One to run in, as `small_disk` makes one of mounts, `networked` of a network."""
    host: str = "127.0.0.1"
    http_port: int = field(default_factory=free_port)
    wire_port: int = field(default_factory=free_port)
    release: Path | None = None
    """The `nexus` of another release to run; None: this one."""
    process: ForkServerProcess | Released | None = None

    @property
    def url(self) -> str:
        scheme = "https" if "NEXUS_TLS_CERT_FILE" in self.settings else "http"
        return f"{scheme}://{self.host}:{self.http_port}"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.wire_port}"

    @property
    def database(self) -> Path:
        return self.data_dir / "nexus.db"

    @property
    def log_path(self) -> Path:
        log_dir = self.log_dir or self.data_dir.parent
        return log_dir / f"{self.data_dir.name}.log"

    def start(self, *, wait: bool = True) -> Self:
        if self.release is not None:
            self.process = Released(self.release, self.environment(), self.log_path)
            if wait:
                self.wait_alive()
            return self
        self.process = CONTEXT.Process(
            target=serve_as,
            args=(
                self.environment(),
                self.log_path,
                self.namespace,
                self._slowness,
            ),
        )
        self.process.start()
        if wait:
            self.wait_alive()
        return self

    def environment(self) -> dict[str, str]:
        """The settings that the node is started with."""
        master = {"NEXUS_REPLICATION_MASTER_ADDR": self.master_addr}
        return {
            "NEXUS_DATA_DIR": str(self.data_dir),
            "NEXUS_HTTP_ADDR": f"{self.host}:{self.http_port}",
            "NEXUS_REPLICATION_ROLE": self.role,
            "NEXUS_REPLICATION_BIND_ADDR": self.address,
            "NEXUS_REPLICATION_HEARTBEAT_MS": "200",
            # Nobody is thought dead while the machine is busy with others.
            "NEXUS_REPLICATION_MISSED_HEARTBEATS": "10",
            **(master if self.master_addr else {}),
            **self.settings,
        }

    def wait_alive(self) -> None:
        def alive() -> bool:
            assert self.process is not None
            if not self.process.is_alive():
                raise AssertionError(f"the node ended: {self.log_text()}")
            return CLIENT.get(f"{self.url}/health", timeout=5.0).status_code == 200

        wait_until(alive, f"{self.url} answers")

    def kill(self) -> None:
        """Pull the plug: SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.join()

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.is_alive()

    def pause(self) -> None:
        """Stop every thread of it where it stands: SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on: SIGCONT."""
        self._signal(signal.SIGCONT)

    def hang_up(self) -> None:
        """Have it look whether its certificate has changed: SIGHUP."""
        self._signal(signal.SIGHUP)

    @property
    def _slowness(self) -> Path:
        return self.log_path.with_suffix(".slow")

    def slow_down(self, sync_ms: int) -> None:
        """From now on its log's syncs take up to so long; a restart changes nothing."""
        beside = self._slowness.with_suffix(".slower")
        beside.write_text(str(sync_ms))
        beside.rename(self._slowness)

    def speed_up(self) -> None:
        """Its disk is quick again."""
        self._slowness.unlink(missing_ok=True)

    def _signal(self, number: int) -> None:
        assert self.process is not None
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def terminate(self, limit_s: float = START_LIMIT_S) -> int:
        """Ask to stop; returns the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.wait_ended(limit_s)

    def wait_ended(self, limit_s: float = START_LIMIT_S) -> int:
        """Wait until the process ends by itself; returns the exit status."""
        assert self.process is not None
        self.process.join(limit_s)
        status = self.process.exitcode
        assert status is not None, f"runs after {limit_s} s: {self.log_text()}"
        return status

    def log_text(self) -> str:
        return self.log_path.read_text(errors="replace")[-4000:]

    def get(self, path: str) -> Any:
        answer = CLIENT.get(self.url + path)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return CLIENT.post(
            self.url + path,
            json=body if body is not None else {},
            timeout=60.0,
        )

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.get("/replication/status")
        return status

    def sql(self, sql: str, *params: Any, transaction_id: str = "") -> dict[str, Any]:
        body = {
            "statements": [{"sql": sql, "params": list(params)}],
            "transaction_id": transaction_id,
        }
        answer = self.post("/sql", body)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Read as any other process would: plain sqlite3 on the file."""
        with self.reader() as reader:
            return reader.execute(sql).fetchall()

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(
            f"file:{self.database}?mode=ro", uri=True, timeout=START_LIMIT_S
        )
        try:
            yield connection
        finally:
            connection.close()


class Cluster:
    """A master and its replicas; every process is ended with the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.nodes: list[NodeProcess] = []

    def master(self, name: str = "master", **settings: str) -> NodeProcess:
        return self._add(name, "master", "", settings)

    def replica(
        self, master: NodeProcess, name: str = "replica", **settings: str
    ) -> NodeProcess:
        return self._add(name, "replica", master.address, settings)

    def replica_at(
        self, master_addr: str, name: str = "replica", **settings: str
    ) -> NodeProcess:
        """A replica of whoever answers at this address: a proxy, say."""
        return self._add(name, "replica", master_addr, settings)

    def on_disk(
        self, disk: SmallDisk, role: str, master_addr: str = "", **settings: str
    ) -> NodeProcess:
        """A node whose data directory lies on this disk; started."""
        node = NodeProcess(disk.mount / role, role, master_addr, settings)
        node.log_dir = self.directory
        node.namespace = str(disk.namespace)
        self.nodes.append(node)
        return node.start()

    def voters(
        self,
        count: int = 3,
        *,
        settings: dict[str, str],
        machines: Sequence[Machine] = (),
        release: Path | None = None,
    ) -> list[NodeProcess]:
        """Nodes that form a cluster and elect; started, not waited for.

        They run on these machines, or all on loopback.
        """
        names = [f"n{number}" for number in range(1, count + 1)]
        nodes = [NodeProcess(self.directory / name, "replica") for name in names]
        for node, machine in zip(nodes, machines, strict=False):
            node.host, node.namespace = machine.address, str(machine.namespace)
        peers = ",".join(node.address for node in nodes)
        for node in nodes:
            node.settings = {"NEXUS_REPLICATION_PEERS": peers, **settings}
            node.release = release
            self.nodes.append(node)
            node.start(wait=False)
        return nodes

    def close(self) -> None:
        """End every process; none of them may have shown a traceback."""
        for node in self.nodes:
            if node.process is not None and node.process.is_alive():
                node.kill()
        for node in self.nodes:
            text = node.log_path.read_text(errors="replace")
            assert "Traceback" not in text, text[-4000:]

    def _add(
        self, name: str, role: str, master_addr: str, settings: dict[str, str]
    ) -> NodeProcess:
        node = NodeProcess(self.directory / name, role, master_addr, settings)
        self.nodes.append(node)
        return node.start()


def master_of(
    nodes: list[NodeProcess], *, but: NodeProcess | None = None
) -> NodeProcess:
    """The one that reigns, once there is one that the others follow."""
    found: list[NodeProcess] = []

    def reigns() -> bool:
        found[:] = [
            node for node in nodes if node is not but and _role_of(node) == "master"
        ]
        return len(found) == 1

    wait_until(reigns, "one of the nodes is the master")
    return found[0]


def _role_of(node: NodeProcess) -> str:
    if node.process is None or not node.process.is_alive():
        return ""
    try:
        answer = CLIENT.get(f"{node.url}/replication/status", timeout=5.0)
    except httpx.HTTPError:
        return ""
    return str(answer.json().get("role", ""))


def acknowledged(nodes: Sequence[NodeProcess], sql: str, name: str) -> dict[str, Any]:
    """The answer to a write at whoever takes it, under this id as often as it takes."""
    body = {"statements": [{"sql": sql}], "transaction_id": name}
    found: list[dict[str, Any]] = []

    def taken() -> bool:
        for node in nodes:
            answer = node.post("/sql", body)
            if answer.status_code == 200:
                found.append(answer.json())
                return True
        return False

    wait_until(taken, f"one of the nodes takes {sql}")
    return found[0]


def caught_up(replica: NodeProcess, offset: int) -> bool:
    """Whether the replica shows everything up to `offset`."""
    return bool(replica.status()["applied_offset"] >= offset)


def fingerprints(nodes: list[NodeProcess], master: NodeProcess) -> list[dict[str, Any]]:
    """Every node's hashes of all tables at one offset.

    The mark is the master's: this one's, or whose the cluster has elected meanwhile.
    """
    marked: list[int] = []

    def is_marked() -> bool:
        for node in (master, *nodes):
            answer = node.post("/replication/verify")
            if answer.status_code in (200, 202):
                marked.append(answer.json()["offset"])
                return True
        return False

    wait_until(is_marked, "the master writes a mark")
    (offset,) = marked
    found: list[dict[str, Any]] = []
    for node in nodes:
        path = f"/replication/verify/{offset}"

        def ready(node: NodeProcess = node, path: str = path) -> bool:
            return CLIENT.get(node.url + path, timeout=30.0).status_code == 200

        wait_until(ready, f"{node.url} has hashed its tables at {offset}")
        hashes = node.get(path)
        assert hashes.pop("node_id")
        found.append(hashes)
    return found


def fill(node: NodeProcess, *, megabytes: int = 8) -> int:
    """Give the node a table of random bytes; returns its last offset."""
    node.sql("create table bulk(id integer primary key, noise blob)")
    offset = 0
    for _ in range(megabytes * 8):
        sql = (
            "with recursive n(i) as (select 1 union all select i + 1 from n where "
            "i < 32) insert into bulk(noise) select randomblob(4000) from n"
        )
        offset = node.sql(sql)["offset"]
    return offset
