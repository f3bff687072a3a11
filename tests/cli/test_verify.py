"""Hashes at one offset, compared."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cli.conftest import Run
from cli.fake_nodes import FakeNode, Reply, joined, node_status

Start = Callable[[], FakeNode]
MARK = "/replication/verify/41"


def hashes(**tables: str) -> dict[str, Any]:
    return {
        "schema": "5c",
        "tables": {name: {"rows": 3, "hash": tables[name]} for name in tables},
    }


@pytest.fixture
def cluster(start: Start) -> tuple[FakeNode, FakeNode]:
    master, replica = start(), start()
    joined(master, replica)
    master.on("POST /replication/verify", {"offset": 41})
    for node in (master, replica):
        node.on(f"GET {MARK}", hashes(a="11", b="22"))
    return master, replica


def test_equal_nodes_end_with_0(run: Run, cluster: tuple[FakeNode, FakeNode]) -> None:
    ended = run("verify", cluster[1].url)

    assert ended.status == 0
    assert "at offset 41" in ended.output
    assert ended.output.count("equal") == 6
    assert ended.error == ""


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (hashes(a="11", b="23"), "differs"),
        (hashes(a="11"), "missing"),
        (hashes(a="11", b="22") | {"schema": "00"}, "differs"),
        (hashes(a="11", b="22", c="33"), "differs"),
    ],
)
def test_any_difference_ends_with_1(
    run: Run, cluster: tuple[FakeNode, FakeNode], answer: Any, word: str
) -> None:
    cluster[1].on(f"GET {MARK}", answer)

    ended = run("verify", cluster[0].url)

    assert ended.status == 1
    assert word in ended.output
    assert "not the same on every node at offset 41" in ended.error


def test_a_node_that_is_not_there_yet_is_asked_again(
    run: Run, cluster: tuple[FakeNode, FakeNode]
) -> None:
    replies: list[Reply] = [
        (404, {"detail": "no such mark"}),
        (202, {"offset": 41}),
        (200, hashes(a="11", b="22")),
    ]
    cluster[1].on(f"GET {MARK}", lambda _: replies.pop(0))

    assert run("verify", cluster[0].url).status == 0
    assert not replies


def test_a_node_that_is_never_ready_is_named(
    run: Run, cluster: tuple[FakeNode, FakeNode]
) -> None:
    cluster[1].on(f"GET {MARK}", {"offset": 41}, 202)

    ended = run("verify", cluster[0].url, "--timeout", "1")

    assert ended.status == 1
    assert f"{cluster[1].url} has not hashed its tables" in ended.error
    assert "--timeout" in ended.error


def test_another_error_ends_at_once(
    run: Run, cluster: tuple[FakeNode, FakeNode]
) -> None:
    cluster[1].problem(f"GET {MARK}", 500, detail="the disk failed")

    assert "the disk failed" in run("verify", cluster[0].url).error


def test_a_silent_node_proves_nothing(
    run: Run, cluster: tuple[FakeNode, FakeNode]
) -> None:
    with FakeNode() as gone:
        url = gone.url

    ended = run("verify", cluster[0].url, url)

    assert ended.status == 1
    assert url in ended.error


def test_a_witness_that_lets_us_not_in_has_no_rows_to_compare(
    run: Run, start: Start
) -> None:
    master, witness = start(), start()
    joined(master, witness)
    master.on("POST /replication/verify", {"offset": 41})
    master.on(f"GET {MARK}", hashes(a="11"))
    witness.problem("GET /replication/status", 401, detail="no token")
    witness.on("GET /health", {"status": "ok", "node_id": "w", "role": "witness"})

    assert run("verify", master.url, witness.url).status == 0


def test_a_replica_that_lets_us_not_in_proves_nothing(
    run: Run, cluster: tuple[FakeNode, FakeNode]
) -> None:
    cluster[1].problem("GET /replication/status", 401, detail="no token")
    cluster[1].on("GET /health", {"status": "ok", "node_id": "r", "role": "replica"})

    ended = run("verify", cluster[0].url)

    assert ended.status == 1
    assert f"{cluster[1].url}: no token" in ended.error


def test_json_says_equal_and_every_hash(
    run: Run, cluster: tuple[FakeNode, FakeNode]
) -> None:
    document = json.loads(run("verify", cluster[0].url, "--json").output)

    assert document["equal"] is True
    assert document["offset"] == 41
    assert set(document["nodes"]) == {cluster[0].url, cluster[1].url}


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"apply_delay_ms": 3_600_000}, "applies everything 3600 s late on purpose"),
        ({"paused": True}, "is paused and applies nothing (nexus resume)"),
    ],
)
def test_a_node_that_is_late_on_purpose_is_named_at_once_and_the_others_compared(
    run: Run, cluster: tuple[FakeNode, FakeNode], state: dict[str, Any], word: str
) -> None:
    master, replica = cluster
    late = node_status("replica", node_id="replica-1", applied_offset=7, **state)
    replica.on("GET /replication/status", late)

    ended = run("verify", master.url)
    document = json.loads(run("verify", master.url, "--json").output)

    assert ended.status == 1
    assert ended.output.count("equal") == 3
    assert f"not compared: {replica.url} {word}" in ended.error
    assert "nexus verify --at 41" in ended.error
    assert (document["equal"], list(document["not_compared"])) == (True, [replica.url])
    assert replica.bodies(MARK) == []


def test_a_delay_that_is_shorter_than_the_patience_is_waited_out(
    run: Run, cluster: tuple[FakeNode, FakeNode]
) -> None:
    status = node_status("replica", node_id="replica-1", apply_delay_ms=2_000)
    cluster[1].on("GET /replication/status", status)

    assert run("verify", cluster[0].url).status == 0


def test_who_was_late_is_compared_at_an_earlier_mark_once_it_is_there(
    run: Run, cluster: tuple[FakeNode, FakeNode]
) -> None:
    master, replica = cluster
    late = node_status("replica", node_id="replica-1", apply_delay_ms=3_600_000)
    replica.on("GET /replication/status", late)

    ended = run("verify", master.url, "--at", "41")

    assert ended.status == 0
    assert ended.output.count("equal") == 6
    assert master.bodies("/replication/verify") == []


def test_a_voter_that_no_node_has_met_was_not_compared(
    run: Run, cluster: tuple[FakeNode, FakeNode]
) -> None:
    absent = {"id": "absent", "addr": "10.0.0.3:15475", "voter": True}
    cluster[0].on("GET /cluster/members", {"members": [absent]})

    ended = run("verify", cluster[0].url)

    assert ended.status == 1
    assert "10.0.0.3:15475: this voter is not connected" in ended.error


def test_any_name_of_a_table_is_shown(run: Run, start: Start) -> None:
    node = start()
    joined(node)
    node.on("POST /replication/verify", {"offset": 41})
    node.on(f"GET {MARK}", hashes(**{"[/x]": "1", ":smile:": "2", "a\n\x1b[2J": "3"}))

    ended = run("verify", node.url)

    assert ended.status == 0
    for shown in ("[/x]", ":smile:", "a\\n^[[2J"):
        assert shown in ended.output
