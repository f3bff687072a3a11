"""A real etcd of three members, on loopback or each on a machine of its own.

It is Debian's etcd-server. Where it is missing and this is root, as in CI, it is
installed; anybody else is told how to get it.
"""

import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from e2e.cluster import CLIENT, free_port, wait_until
from e2e.namespaces import Machine

MEMBERS = ("one", "two", "three")


def etcd_program() -> str:
    """Where etcd is; installed if need be."""
    found = shutil.which("etcd")
    if found is None and os.geteuid() == 0:
        found = _installed()
    assert found, "this test needs etcd: apt-get install etcd-server"
    return found


def _installed() -> str | None:
    """Tests that run beside this one may want the same."""
    with Path("/run/lock/nexus-etcd").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if shutil.which("etcd") is not None:
            return shutil.which("etcd")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "--yes", "--quiet", "etcd-server"]
        for command in (install, ["apt-get", "--quiet", "update"], install):
            done = subprocess.run(
                command, check=False, env=environment, capture_output=True
            )
            if command is install and done.returncode == 0:
                break
        return shutil.which("etcd")


@dataclass
class Member:
    """One process of etcd."""

    name: str
    directory: Path
    client_port: int = field(default_factory=free_port)
    peer_port: int = field(default_factory=free_port)
    machine: Machine | None = None
    """Where it runs; None: beside the test."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return self.machine.address if self.machine else "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.client_port}"

    @property
    def peer_url(self) -> str:
        return f"http://{self.host}:{self.peer_port}"

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def pause(self) -> None:
        """Stop it where it stands: SIGSTOP."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on: SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


class Etcd:
    """Three members; each can be killed and started again."""

    def __init__(self, directory: Path, machines: Sequence[Machine] = ()) -> None:
        """The members run on these machines, or all on loopback."""
        self.program = etcd_program()
        self.members = [Member(name, directory / name) for name in MEMBERS]
        for member, machine in zip(self.members, machines, strict=False):
            member.machine = machine
        directory.mkdir()

    @property
    def endpoints(self) -> str:
        return ",".join(member.url for member in self.members)

    def start(self, member: Member) -> None:
        peers = ",".join(f"{one.name}={one.peer_url}" for one in self.members)
        options = {
            "name": member.name,
            "data-dir": str(member.directory),
            "listen-client-urls": member.url,
            "advertise-client-urls": member.url,
            "listen-peer-urls": member.peer_url,
            "initial-advertise-peer-urls": member.peer_url,
            "initial-cluster": peers,
            "heartbeat-interval": "100",
            "election-timeout": "1500",
            "log-level": "error",
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        machine = member.machine
        enter = ["nsenter", f"--net={machine.namespace}"] if machine else []
        with member.directory.with_suffix(".log").open("ab") as log:
            member.process = subprocess.Popen(
                [*enter, self.program, *arguments], stdout=log, stderr=log
            )

    def start_all(self) -> None:
        for member in self.members:
            self.start(member)
        wait_until(self.answers, "etcd has a leader")

    def answers(self) -> bool:
        """Whether a majority is there."""
        for member in self.members:
            try:
                answer = CLIENT.get(f"{member.url}/health", timeout=1.0)
            except httpx.HTTPError:
                continue
            if answer.status_code == 200:
                return True
        return False


@contextmanager
def running_etcd(directory: Path, machines: Sequence[Machine] = ()) -> Iterator[Etcd]:
    """Started, and every member ended at the end."""
    etcd = Etcd(directory, machines)
    try:
        etcd.start_all()
        yield etcd
    finally:
        for member in etcd.members:
            if member.process is not None:
                member.kill()
