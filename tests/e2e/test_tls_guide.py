"""The guide to TLS: every command of it runs as it stands there."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from e2e.cluster import CLIENT, NodeProcess, wait_until
from nexus.tls.words import NOT_TLS

pytestmark = [
    pytest.mark.timeout(400),
    # Where a peer is killed before TLS begins, Python's ssl leaves its socket to the
    # garbage collector (SSLSocket._create, where recv raises).
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
]

GUIDE: Final = Path(__file__).parents[2] / "docs/guides/tls.md"
BLOCK: Final = re.compile(r"```(shell|toml|python)\n(.*?)```", re.DOTALL)


class Follower:
    """Somebody who does what the guide says, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.done: list[str] = []
        self.served: list[subprocess.Popen[bytes]] = []
        self._directory = directory
        self._node = node = NodeProcess(directory / "data")
        self._ports = {"15474": str(node.http_port), "15475": str(node.wire_port)}
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "NEXUS_HTTP_ADDR": f"127.0.0.1:{node.http_port}",
            "NEXUS_REPLICATION_BIND_ADDR": node.address,
        }

    def follow(self, kind: str, block: str) -> None:
        """Do what a block says; fails with what a command says that fails."""
        for port, own in self._ports.items():
            block = block.replace(port, own)
        self.done.append(kind)
        if kind == "toml":
            (self._directory / "nexus.toml").write_text(block)
        elif kind == "python":
            self._run([sys.executable, "-c", block])
        elif block.startswith("nexus serve"):
            self._serve(shlex.split(block))
        else:
            for line in block.splitlines():
                self._run(shlex.split(line))

    def _run(self, words: list[str]) -> None:
        ended = subprocess.run(
            words,
            cwd=self._directory,
            env=self._environment,
            capture_output=True,
            timeout=240,
            check=False,
        )
        assert ended.returncode == 0, (words, ended.stderr)

    def _serve(self, words: list[str]) -> None:
        node = subprocess.Popen(
            words,
            cwd=self._directory,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.served.append(node)
        url = f"https://127.0.0.1:{self._node.http_port}/health"
        wait_until(lambda: CLIENT.get(url).is_success, "the node answers")


@pytest.fixture
def follower(tmp_path: Path) -> Iterator[Follower]:
    follower = Follower(tmp_path)
    yield follower
    for node in follower.served:
        node.terminate()
        node.wait(90)


def test_every_command_of_the_guide_runs_as_it_stands(follower: Follower) -> None:
    for kind, block in BLOCK.findall(GUIDE.read_text()):
        follower.follow(kind, block)

    counts = {kind: follower.done.count(kind) for kind in ("shell", "toml", "python")}
    assert counts == {"shell": 7, "toml": 2, "python": 1}
    assert len(follower.served) == 1


def test_the_guide_knows_what_is_said() -> None:
    guide = GUIDE.read_text()

    assert NOT_TLS in guide
    for words in ("of a CA that is not trusted here", "write https://"):
        assert words in guide
