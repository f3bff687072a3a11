"""One node until a signal ends it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from structlog.contextvars import bound_contextvars

from cli.conftest import Run
from nexus.cli.logs import FIRST_KEYS
from nexus.cli.serve import whereabouts

ANY_PORT = "127.0.0.1:0"


@contextmanager
def serving(*arguments: object) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "nexus", "serve", "--bind-addr", ANY_PORT]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("NEXUS_")}
    with subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_tells_where_it_is_and_ends_with_0_on_a_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    with serving("--data", tmp_path, "--http-addr", ANY_PORT, "--json") as process:
        told = json.loads(first_line(process))
        status = httpx.get(
            f"{told['http_url']}/replication/status", timeout=60.0
        ).json()

        process.send_signal(number)
        _, error = process.communicate(timeout=120)

    assert told["role"] == status["role"] == "standalone"
    assert told["node_id"] == status["node_id"]
    assert told["data_dir"] == str(tmp_path)
    assert process.returncode == 0
    assert "Traceback" not in error


def test_the_line_for_people_names_role_addresses_and_directory(
    tmp_path: Path,
) -> None:
    with serving(
        *("--data", tmp_path, "--http-addr", ANY_PORT, "--role", "master")
    ) as process:
        line = first_line(process)
        process.terminate()
        process.communicate(timeout=120)

    assert line.startswith("nexus master ")
    assert "http://127.0.0.1:" in line
    assert line.endswith(f"data {tmp_path}\n")


def test_a_second_process_on_one_directory_is_refused(tmp_path: Path) -> None:
    with serving("--data", tmp_path, "--http-addr", ANY_PORT) as first:
        first_line(first)
        with serving("--data", tmp_path, "--http-addr", ANY_PORT) as second:
            _, error = second.communicate(timeout=120)
        first.terminate()
        first.communicate(timeout=120)

    assert second.returncode == 1
    assert error.startswith("nexus: ")
    assert f"in use by process {first.pid}" in error


def test_a_wrong_setting_stops_the_start_in_one_line(run: Run, tmp_path: Path) -> None:
    ended = run("serve", "--data", tmp_path, "--role", "king")

    assert ended.status == 1
    assert ended.error.count("\n") == 1
    assert "replication.role = 'king'" in ended.error
    assert list(tmp_path.iterdir()) == []


def test_beyond_loopback_without_a_secret_nothing_starts(
    run: Run, tmp_path: Path
) -> None:
    ended = run("serve", "--data", tmp_path, "--http-addr", "0.0.0.0:0")

    assert ended.status == 1
    assert "NEXUS_CLUSTER_SECRET" in ended.error
    assert "--insecure" in ended.error


def test_insecure_is_loud(tmp_path: Path) -> None:
    with serving(
        *("--data", tmp_path, "--http-addr", "0.0.0.0:0", "--insecure")
    ) as process:
        first_line(process)
        process.terminate()
        _, error = process.communicate(timeout=120)

    assert "INSECURE" in error
    assert "0.0.0.0:0" in error


def test_an_unknown_log_level_stops_the_start(run: Run, tmp_path: Path) -> None:
    ended = run("serve", "--data", tmp_path, "--log-level", "loud")

    assert ended.status == 1
    assert "log.level = 'loud'" in ended.error


def lines_of(error: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in error.splitlines()]


def test_every_line_of_the_log_says_which_node_epoch_and_offset(
    tmp_path: Path,
) -> None:
    with serving(
        *("--data", tmp_path, "--http-addr", ANY_PORT, "--role", "master", "--json")
    ) as process:
        told = json.loads(first_line(process))
        process.terminate()
        _, error = process.communicate(timeout=120)

    lines = lines_of(error)
    began = next(line for line in lines if line["event"] == "reign_began")
    assert began["node"] == told["node_id"]
    assert (began["level"], began["epoch"], began["offset"]) == ("info", 1, 1)
    assert began["timestamp"].endswith("Z")
    for line in lines:
        keys = [key for key in line if key in FIRST_KEYS]
        assert list(line)[: len(keys)] == keys == [k for k in FIRST_KEYS if k in keys]


def test_for_people_a_line_has_the_same_words(tmp_path: Path) -> None:
    with serving(
        *("--data", tmp_path, "--http-addr", ANY_PORT, "--log-format", "human")
    ) as process:
        first_line(process)
        process.terminate()
        _, error = process.communicate(timeout=120)

    (line,) = [line for line in error.splitlines() if "reign_began" in line]
    assert "[info" in line
    assert "epoch=1" in line
    assert "offset=" in line


def test_an_expected_failure_has_no_traceback(tmp_path: Path) -> None:
    with serving(
        *("--data", tmp_path, "--http-addr", ANY_PORT, "--role", "replica"),
        *("--master-addr", "127.0.0.1:1", "--json"),
    ) as process:
        told = json.loads(first_line(process))
        host, _, port = told["bind_addr"].rpartition(":")
        assert (host, port) == ("127.0.0.1", "0")
        process.terminate()
        _, error = process.communicate(timeout=120)

    assert "Traceback" not in error
    assert all("exception" not in line for line in lines_of(error))


def test_a_line_of_a_named_database_says_where_that_one_stands() -> None:
    orders = SimpleNamespace(events=SimpleNamespace(place=(7, 70)))
    node: Any = SimpleNamespace(
        node_id="n1", events=SimpleNamespace(place=(3, 30)), named={"orders": orders}
    )

    main = whereabouts(node)
    with bound_contextvars(database="orders"):
        named = whereabouts(node)
    with bound_contextvars(database="users"):
        opening = whereabouts(node)

    assert main == {"node": "n1", "epoch": 3, "offset": 30}
    assert named == {"node": "n1", "epoch": 7, "offset": 70}
    assert opening == {"node": "n1"}
