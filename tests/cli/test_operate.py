"""promote, pause, resume, snapshot."""

import io
import json
from collections.abc import Callable

import pytest

from cli.conftest import Run
from cli.fake_nodes import FakeNode, node_status

Start = Callable[[], FakeNode]

SNAPSHOT = {
    "id": "s1",
    "wal_offset": 1200,
    "uncompressed_size": 3_000_000,
    "compressed_size": 1_000_000,
}


def test_promote_tells_the_new_epoch(run: Run, start: Start) -> None:
    node = start().on(
        "POST /replication/promote", node_status(epoch=7, may_be_lost="Up to 3.")
    )

    ended = run("promote", node.url)

    assert ended.status == 0
    assert ended.output == f"{node.url} is the master of epoch 7 now. Up to 3.\n"
    assert node.bodies("/replication/promote") == [{}]


def test_a_forced_promotion_that_is_agreed_to_says_so_to_the_node(
    run: Run, start: Start
) -> None:
    node = start().on("POST /replication/promote", node_status())

    run("promote", node.url, "--force", "--yes")

    assert node.bodies("/replication/promote") == [{"force": True}]


@pytest.mark.parametrize(
    ("said", "status", "error"),
    [("y", 0, ""), ("n", 1, "as you said"), ("", 1, "--yes")],
)
def test_a_forced_promotion_tells_what_may_be_lost_before_it_asks(
    run: Run,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    status: int,
    error: str,
) -> None:
    answer = node_status(may_be_lost="Voter n3 has 7 entries more.")
    node = start().on("POST /replication/promote", answer)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{said}\n" if said else ""))

    ended = run("promote", node.url, "--force")

    trial, *done = node.bodies("/replication/promote")
    assert trial == {"force": True, "dry_run": True}
    assert (ended.status, done) == (status, [] if status else [{"force": True}])
    assert "Voter n3 has 7 entries more." in ended.error
    assert error in ended.error


def test_switchover_names_the_heir_and_tells_how_long_it_took(
    run: Run, start: Start
) -> None:
    answer = {"former_id": "n1", "master_id": "n2", "seconds": 0.123}
    node = start().on("POST /replication/switchover", answer)

    ended = run("switchover", node.url, "n2")

    assert ended.output == "n2 is the master now, after 0.12 s\n"
    assert node.bodies("/replication/switchover") == [{"to": "n2"}]


def test_the_mode_is_told_as_it_is_from_now_on(run: Run, start: Start) -> None:
    node = start().on("POST /replication/mode", node_status(mode="sync"))

    ended = run("mode", node.url, "sync")

    assert ended.output == "the mode is sync, whoever reigns\n"
    assert node.bodies("/replication/mode") == [{"mode": "sync"}]


def test_the_quorum_is_changed_with_the_mode(run: Run, start: Start) -> None:
    node = start().on("POST /replication/mode", node_status(mode="sync"))

    run("mode", node.url, "sync", "--quorum", "3")

    assert node.bodies("/replication/mode") == [{"mode": "sync", "sync_quorum": 3}]


def test_pause_and_resume_can_name_one_replica(run: Run, start: Start) -> None:
    node = start()
    node.on("POST /replication/pause", {}).on("POST /replication/resume", {})

    paused = run("pause", node.url, "--replica", "r1")
    resumed = run("resume", node.url)

    assert paused.output == f"replica r1 of {node.url}: paused\n"
    assert resumed.output == f"{node.url}: resumed\n"
    assert node.bodies("/replication/pause") == [{"replica": "r1"}]
    assert node.bodies("/replication/resume") == [{}]


def test_a_snapshot_is_told_with_its_sizes_and_place(run: Run, start: Start) -> None:
    node = start().on("POST /replication/snapshot", SNAPSHOT)

    ended = run("snapshot", node.url)

    assert "snapshot s1 at offset 1,200: 2.9 MiB packed into 976.6 KiB" in ended.output
    assert f"{node.url}/replication/snapshots/s1" in ended.output


def test_json_is_the_nodes_answer(run: Run, start: Start) -> None:
    node = start().on("POST /replication/snapshot", SNAPSHOT)

    assert json.loads(run("snapshot", node.url, "--json").output) == SNAPSHOT


def test_a_refusal_is_one_line_and_exit_1(run: Run, start: Start) -> None:
    node = start().problem(
        "POST /replication/promote", 409, detail="this node is the master"
    )

    ended = run("promote", node.url)

    assert ended.status == 1
    assert ended.error == f"nexus: {node.url}: this node is the master\n"
    assert ended.output == ""


def test_a_delayed_replica_applies_at_once_what_it_holds_back(
    run: Run, start: Start
) -> None:
    node = start().on("POST /replication/resume", node_status())

    ended = run("resume", node.url, "--now")

    assert ended.output == f"{node.url}: resumed\n"
    assert node.bodies("/replication/resume") == [{"now": True}]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--until", "1233"], "up to entry 1,233, and is paused"),
        (["--before", "1970-01-01T01:00:00.5+01:00"], "up to what was before 1970"),
    ],
)
def test_a_replica_applies_up_to_a_chosen_point(
    run: Run, start: Start, options: list[str], said: str
) -> None:
    node = start()
    node.on("POST /replication/apply?until=1233", node_status())
    node.on("POST /replication/apply?before_us=500000", node_status())

    ended = run("resume", node.url, *options)

    assert said in ended.output


@pytest.mark.parametrize("moment", ["yesterday", "2026-01-31T12:00:00"])
def test_a_time_without_its_zone_is_refused(
    run: Run, start: Start, moment: str
) -> None:
    ended = run("resume", start().url, "--before", moment)

    assert ended.status == 2
    assert "is no time with its zone" in " ".join(ended.error.split())
