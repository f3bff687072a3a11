"""A cluster of real node processes on this machine, ended by their own ids."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import CALL_ERRORS, Remote

START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.05
IMPORT_TIMEOUT_S: Final = 120.0
LAST_WORDS: Final = 300
"""Characters of a log that tell why a process ended."""

CHINOOK: Final = Path(__file__).with_name("chinook.sqlite")
PORTS: Final = range(20_000, 32_000)
"""Below those that the system gives to whoever connects: between the choice and a
node's start, or while it is dead, one of those might become somebody's."""

PORT_TRIES: Final = 100

NEXUS: Final = (sys.executable, "-m", "nexus")

HEARTBEAT_MS: Final = 200
"""Shorter than the default: a demonstration should not wait 15 s for a suspicion."""


class NodeProcess:
    """One node: its directory, its ports, and its process while there is one."""

    def __init__(self, name: str, root: Path, *, master: "NodeProcess | None") -> None:
        self.name = name
        self.data_dir = root / name
        self.http_addr = f"127.0.0.1:{free_port()}"
        self.bind_addr = f"127.0.0.1:{free_port()}"
        self.master = master
        self.heartbeat_ms = HEARTBEAT_MS
        self.peers: tuple[str, ...] = ()
        """The replication addresses of all voters, where the nodes elect."""
        self.log = root / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begins = 0

    @property
    def url(self) -> str:
        """Where its API listens."""
        return f"http://{self.http_addr}"

    @property
    def pid(self) -> int:
        """The process id; 0 while none runs."""
        if self._process is None or self._process.poll() is not None:
            return 0
        return self._process.pid

    def command(self) -> list[str]:
        """The command line that starts it; anybody could type it."""
        arguments = [*NEXUS, "serve", "--data-dir", str(self.data_dir)]
        arguments += ["--http-addr", self.http_addr, "--bind-addr", self.bind_addr]
        arguments += ["--heartbeat-ms", str(self.heartbeat_ms)]
        if self.peers:
            return [*arguments, "--peers", ",".join(self.peers), "--mode", "sync"]
        if self.master is None:
            return [*arguments, "--role", "master"]
        return [
            *arguments,
            "--role",
            "replica",
            "--master-addr",
            self.master.bind_addr,
        ]

    def start(self) -> None:
        """Start the process; `wait_until_up` says when it serves."""
        with self.log.open("ab") as log:
            self._log_begins = log.tell()
            # A session of its own: Ctrl-C in the terminal reaches this program alone,
            # which then ends the nodes in order.
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=clean_environment(),
            )

    def wait_until_up(self) -> None:
        """Return once it answers; NotDoneError with its last words if it does not."""
        deadline = time.monotonic() + START_TIMEOUT_S
        with Remote(self.url) as remote:
            while time.monotonic() < deadline:
                if self._process is None or self._process.poll() is not None:
                    break
                try:
                    remote.get("/replication/status")
                except CALL_ERRORS:
                    time.sleep(POLL_S)
                else:
                    return
        raise NotDoneError(f"{self.name} did not start: {self.last_words()}")

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL, to its own id."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask_to_stop(self) -> None:
        """SIGTERM, to its own id."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait_stopped(self) -> bool:
        """Whether it ended by itself; kills it otherwise."""
        if self._process is None:
            return True
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        self._process = None
        return True

    def last_words(self) -> str:
        """The end of what it logged since it was started."""
        with self.log.open("rb") as log:
            log.seek(self._log_begins)
            text = log.read().decode(errors="replace").strip()
        return text[-LAST_WORDS:] or "it wrote no log"


@contextmanager
def running_cluster(root: Path, *, replicas: int) -> Iterator[tuple[NodeProcess, ...]]:
    """Voters with Chinook in one of them; whatever happens, all are ended.

    The first one is the first master: it alone has a database.
    """
    root.mkdir(parents=True, exist_ok=True)
    nodes = [
        NodeProcess(f"node-{number}", root, master=None)
        for number in range(1, replicas + 2)
    ]
    peers = known_addresses(root, nodes)
    if not (nodes[0].data_dir / "nexus.db").exists():
        import_chinook(nodes[0].data_dir)
    try:
        for node in nodes:
            node.peers = peers
            node.start()
        for node in nodes:
            node.wait_until_up()
        yield tuple(nodes)
    finally:
        stop_all(nodes)


def known_addresses(root: Path, nodes: Sequence[NodeProcess]) -> tuple[str, ...]:
    """Where these nodes find each other: as before, if they have run before."""
    file = root / "peers.txt"
    if file.exists():
        for node, address in zip(nodes, file.read_text().split(), strict=False):
            node.bind_addr = address
    peers = tuple(node.bind_addr for node in nodes)
    file.write_text("\n".join(peers) + "\n")
    return peers


def stop_all(nodes: Sequence[NodeProcess]) -> None:
    """End every process, the replicas first: they lose no master so.

    A second Ctrl-C meanwhile is ignored: it would leave processes behind.
    """
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for node in reversed(nodes):
        node.ask_to_stop()
    for node in reversed(nodes):
        node.wait_stopped()
    signal.signal(signal.SIGINT, previous)


def import_chinook(data_dir: Path) -> None:
    """Make a node's data directory from the sample database, as a user would."""
    done = subprocess.run(  # noqa: S603 - our own command line
        [*NEXUS, "import", str(CHINOOK), "--data", str(data_dir)],
        capture_output=True,
        text=True,
        timeout=IMPORT_TIMEOUT_S,
        check=False,
        env=clean_environment(),
    )
    if done.returncode:
        raise NotDoneError(
            f"Chinook was not imported into '{data_dir}': {done.stderr.strip()}"
        )


def clean_environment() -> dict[str, str]:
    """The environment without settings: only the command line's hold."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("NEXUS_")
    }


def free_port() -> int:
    """A TCP port that nobody listens on just now; raises NotDoneError for none."""
    for _ in range(PORT_TRIES):
        port = secrets.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise NotDoneError(
        f"{PORT_TRIES} ports of this machine from {PORTS.start} to {PORTS.stop} were "
        "tried, and none is free; end what listens on them"
    )
