"""A crowd at the door, and secrets everywhere: who is served, and what is told."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Final

import pytest

import nexus
from e2e.cluster import CLIENT, Cluster, NodeProcess, caught_up, free_port, wait_until
from nexus.cli.descriptors import raise_limit

CROWD: Final = int(os.environ.get("CROWD", "1000"))
"""Connections; `make chaos` asks for 10,000."""

OWN_FILES: Final = 300
"""Descriptors that the test needs besides."""

SECRET: Final = "swordfish-of-the-cluster"

HALF_A_HEAD: Final = b"GET /health HTTP/1.1\r\nHost: "

pytestmark = pytest.mark.timeout(300 + CROWD / 20)


def crowd_at(node: NodeProcess, count: int, said: bytes) -> Iterator[socket.socket]:
    """So many connections that say this, and then no more; some are closed on us."""
    for _ in range(count):
        with suppress(OSError):
            peer = socket.create_connection(("127.0.0.1", node.http_port), 10.0)
            peer.sendall(said)
            yield peer


def test_a_crowd_that_says_nothing_keeps_nobody_out(cluster: Cluster) -> None:
    count = min(CROWD, raise_limit() - OWN_FILES)
    assert count >= 500, "the system allows too few open files for this test"
    limit = {"NEXUS_LIMITS_CONNECTIONS": str(count // 4)}
    master = cluster.master("m", **limit)
    master.sql("create table t(id integer primary key)")
    replica = cluster.replica(master, "r")

    with ExitStack() as stack:
        for said in (b"", HALF_A_HEAD):
            for peer in crowd_at(master, count // 2, said):
                stack.enter_context(closing(peer))
        for number in range(1, 11):
            done = master.sql("insert into t values (?)", number)
            assert CLIENT.get(f"{master.url}/ready").is_success
        wait_until(lambda: caught_up(replica, done["offset"]), "it is replicated")
        with nexus.connect(f"nexus://{master.address}") as connection:
            assert connection.execute("select count(*) from t").fetchone() == (10,)


def test_no_secret_is_told_by_a_log_an_error_or_the_process_list(
    tmp_path: Path,
) -> None:
    http, wire = free_port(), free_port()
    url, data = f"http://127.0.0.1:{http}", tmp_path / "data"
    environment = {**os.environ, "NEXUS_CLUSTER_SECRET": SECRET}
    audit = tmp_path / "audit.jsonl"
    flags = ["--http-addr", f"127.0.0.1:{http}", "--bind-addr", f"127.0.0.1:{wire}"]
    flags += ["--role", "master", "--data", str(data), "--log-audit-file", str(audit)]
    log = (tmp_path / "log").open("wb")
    serving = subprocess.Popen(
        [sys.executable, "-m", "nexus", "serve", "--log-level", "debug", *flags],
        stdout=log,
        stderr=log,
        env=environment,
    )
    told: list[str] = []
    try:
        wait_until(lambda: CLIENT.get(f"{url}/health").is_success, "it serves")
        told.append(Path(f"/proc/{serving.pid}/cmdline").read_text())
        file = tmp_path / "token"
        made = run("token", "create", url, "--role", "admin", "--json", **environment)
        token = json.loads(made.stdout)["token"]
        file.write_text(token)
        wrong = token[:-4] + "AAAA"
        for known in (token, wrong, SECRET, SECRET + "!"):
            told += asked_everywhere(url, wire, known, tmp_path)
        ended = run("token", "rotate", url, "none", "--token-file", str(file))
        told += [ended.stdout, ended.stderr]
    finally:
        serving.terminate()
        serving.wait(90)
        log.close()

    lines = (tmp_path / "log").read_text() + audit.read_text()
    assert '"audit"' in lines
    for text in (*told, lines):
        for secret in (token, wrong, SECRET, token.split("_", 2)[2]):
            assert secret not in text


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nexus", *arguments],
        env=environment or dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def asked_everywhere(url: str, wire: int, known: str, directory: Path) -> list[str]:
    """What is told, at each place where a credential can be given."""
    told = []
    file = directory / "given"
    file.write_text(known)
    for arguments in (
        ("status", url, "--token-file", str(file)),
        ("sql", url, "select nothing", "--token-file", str(file)),
        ("promote", url, "--token-file", str(file)),
        ("sql", f"nexus://:{known}@127.0.0.1:{wire}", "select 1"),
    ):
        ended = run(*arguments)
        told += [ended.stdout, ended.stderr]
    headers = {"Authorization": f"Bearer {known}"}
    for path in ("/tokens", "/replication/status", "/nowhere"):
        answer = CLIENT.get(url + path, headers=headers)
        told.append(f"{answer.headers} {answer.text}")
    for target in (
        f"nexus://:{known}@127.0.0.1:{wire}",
        f"nexus://:{known}@127.0.0.1:{wire}?read=nobody",
        f"nexus://:{known}@127.0.0.1:99999",
    ):
        try:
            with nexus.connect(target, timeout=5) as connection:
                told.append(repr(connection) + repr(vars(connection)))
                connection.execute("select nothing")
        except nexus.Error as error:
            told.append(f"{error!r} {error}")
    return told
