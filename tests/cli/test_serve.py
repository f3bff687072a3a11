"""One node until a signal ends it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import structlog

from cli.conftest import Run
from nexus.cli.serve import LEVELS, configure_logs

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
        status = httpx.get(f"{told['http_url']}/replication/status").json()

        process.send_signal(number)
        _, error = process.communicate(timeout=30)

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
        process.communicate(timeout=30)

    assert line.startswith("nexus master ")
    assert "http://127.0.0.1:" in line
    assert line.endswith(f"data {tmp_path}\n")


def test_a_second_process_on_one_directory_is_refused(tmp_path: Path) -> None:
    with serving("--data", tmp_path, "--http-addr", ANY_PORT) as first:
        first_line(first)
        with serving("--data", tmp_path, "--http-addr", ANY_PORT) as second:
            _, error = second.communicate(timeout=30)
        first.terminate()
        first.communicate(timeout=30)

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
        _, error = process.communicate(timeout=30)

    assert "INSECURE" in error
    assert "0.0.0.0:0" in error


def test_an_unknown_log_level_is_wrong_usage(run: Run) -> None:
    assert run("serve", "--log-level", "loud").status == 2


def test_logs_go_to_standard_error_as_lines_of_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(LEVELS["warning"], as_json=True)
    try:
        log = structlog.get_logger()
        log.info("quiet")
        log.warning("loud", offset=7)
    finally:
        structlog.reset_defaults()

    output, error = capsys.readouterr()
    (line,) = error.splitlines()
    assert output == ""
    assert json.loads(line)["event"] == "loud"
    assert json.loads(line)["offset"] == 7
