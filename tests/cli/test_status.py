"""The whole cluster as a table."""

import json
import time
from collections.abc import Callable

import pytest
from rich.table import Table

from cli.conftest import Run
from cli.fake_nodes import FakeNode, joined, node_status
from nexus.cli import status
from nexus.cli.cluster import NodeView

Start = Callable[[], FakeNode]


def test_every_node_has_a_row(run: Run, start: Start) -> None:
    master, replica = start(), start()
    joined(master, replica)

    ended = run("status", replica.url)

    assert ended.status == 0
    lines = ended.output.splitlines()
    assert lines[0].startswith("cluster c1")
    assert [line.split()[:3] for line in lines[2:4]] == [
        ["replica-1", "replica", "streaming"],
        ["master-1", "master", "1"],
    ]
    assert "1,200" in lines[2]


@pytest.mark.parametrize(
    ("width", "gone"),
    [
        (200, set()),
        (100, {"durable", "epoch"}),
        (50, {"durable", "epoch", "behind", "entries/s"}),
    ],
)
def test_a_narrow_terminal_has_fewer_columns_and_whole_ids(
    width: int, gone: set[str]
) -> None:
    node_id = "0123456789abcdef"
    found = node_status("replica", node_id=node_id, lag=1_000_000, lag_seconds=86_400.0)
    view = NodeView(url="http://10.0.0.1:15474", named=True, status=found)
    names = {"node", "role", "state", "epoch", "durable", "applied", "lag", "behind"}

    table = status.cluster_table((view,), {node_id: 12_345.0}, width).renderables[0]

    assert isinstance(table, Table)
    shown = {str(column.header) for column in table.columns}
    assert shown == (names | {"address", "entries/s"}) - gone
    assert list(table.columns[0].cells) == [node_id]


def test_a_paused_replica_and_its_trouble_are_shown(run: Run, start: Start) -> None:
    node = start().on(
        "GET /replication/status",
        node_status(
            "replica", paused=True, lag=7, lag_seconds=61.0, last_error="no route"
        ),
    )

    output = run("status", node.url).output

    assert "paused" in output
    assert "61.0 s" in output
    assert f"{node.url}: no route" in output


def test_a_replica_without_a_database_says_so(run: Run, start: Start) -> None:
    node = start().on(
        "GET /replication/status",
        node_status("replica", has_database=False, last_error="no route"),
    )

    output = " ".join(run("status", node.url).output.split())

    assert f"{node.url}: no route; this node has no database yet" in output


def test_an_archive_that_fails_is_told_of(run: Run, start: Start) -> None:
    archive = {"offset": 1, "lag": 1199, "last_error": "the bucket refuses"}
    node = start().on("GET /replication/replicas", {"replicas": []})
    node.on("GET /replication/status", node_status(archive=archive))

    told = run("status", node.url).output.replace("\n", " ")
    assert "the archive is 1,199 entries behind: the bucket refuses" in told

    node.on("GET /replication/status", node_status(archive={"last_error": ""}))
    assert "archive" not in run("status", node.url).output


def test_a_witness_lacks_no_database(run: Run, start: Start) -> None:
    node = start().on(
        "GET /replication/status", node_status("witness", has_database=False)
    )

    output = run("status", node.url).output

    assert "witness" in output
    assert "no database" not in output


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (-1, "its certificate has expired; issue another one"),
        (0.5, "its certificate ends today"),
        (3.5, "its certificate ends in 3 days"),
        (20, ""),
    ],
)
def test_a_certificate_that_ends_soon_is_told_of(
    run: Run, start: Start, days: float, told: str
) -> None:
    expires_s = time.time() + days * 86_400
    node = start().on(
        "GET /replication/status", node_status("replica", certificate_expires=expires_s)
    )

    output = " ".join(run("status", node.url).output.split())

    assert told in output
    assert ("certificate" in output) is bool(told)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_list_of_revoked_certificates_that_has_ended_is_told_of(
    run: Run, start: Start, hours: int
) -> None:
    ends_s = time.time() + hours * 3_600
    status = node_status("replica", revocation_list_ends=ends_s)
    node = start().on("GET /replication/status", status)

    output = " ".join(run("status", node.url).output.split())

    assert ("its list of revoked certificates has ended" in output) is (hours < 0)


def test_json_holds_what_each_node_said(run: Run, start: Start) -> None:
    master = start()
    joined(master)

    document = json.loads(run("status", master.url, "--json").output)

    assert document["nodes"][0]["url"] == master.url
    assert document["nodes"][0]["status"]["epoch"] == 3


def test_watching_ends_with_control_c_and_0(
    run: Run, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = start()
    joined(master)

    def press_control_c(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", press_control_c)
    ended = run("status", master.url, "--watch", "--interval", "0.5")

    assert ended.status == 0
    assert "master-1" in ended.output


def test_watching_in_json_is_one_line_a_look(
    run: Run, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = start()
    joined(master)
    looks = []

    def look_twice(seconds: float) -> None:
        looks.append(seconds)
        master.on("GET /replication/status", node_status("master", applied_offset=1300))
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", look_twice)
    ended = run("status", master.url, "--watch", "--json", "--interval", "0.25")

    first, second = map(json.loads, ended.output.splitlines())
    assert ended.status == 0
    assert looks == [0.25, 0.25]
    assert first["nodes"][0]["entries_per_second"] is None
    assert second["nodes"][0]["entries_per_second"] > 0
    assert first["time"] < second["time"]


def test_whoever_reads_the_lines_may_leave(
    run: Run, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = start()
    joined(master)

    def gone(_line: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("nexus.cli.status.print_json_line", gone)

    assert run("status", master.url, "--watch", "--json").status == 0


def test_a_named_node_that_is_silent_makes_exit_1(run: Run, start: Start) -> None:
    master = start()
    joined(master)
    with FakeNode() as gone:
        url = gone.url

    ended = run("status", master.url, url)

    assert ended.status == 1
    assert "unreachable" in ended.output
    assert "does not answer" not in ended.output
    assert ended.error.startswith(f"nexus: {url} does not answer")
    assert ended.error.count("\n") == 1
    as_json = run("status", master.url, url, "--json")
    assert "does not answer" in json.loads(as_json.output)["nodes"][1]["error"]


def test_a_node_that_lets_us_not_in_is_not_called_unreachable(
    run: Run, start: Start
) -> None:
    master, witness = start(), start()
    joined(master, witness)
    witness.problem("GET /replication/status", 401, detail="the token is not known")

    ended = run("status", master.url)

    assert "refuses" in ended.output
    assert "unreachable" not in ended.output
    assert "the token is not known" in ended.output
