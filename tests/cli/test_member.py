"""The commands about voters and maintenance."""

import json
from collections.abc import Callable

import pytest

from cli.conftest import Run
from cli.fake_nodes import FakeNode

Start = Callable[[], FakeNode]

MEMBERS = {
    "cluster_id": "c1",
    "offset": 7,
    "auto_failover": True,
    "members": [
        {"id": "n1", "addr": "10.0.0.1:15475", "voter": True, "connected": True},
        {"id": "n2", "addr": "10.0.0.2:15475", "voter": True, "connected": False},
        {"id": "n3", "addr": "10.0.0.3:15475", "voter": False, "connected": True},
    ],
    "sync_quorum": 0,
}
LINES = [
    "n1  voter    10.0.0.1:15475",
    "n2  voter    10.0.0.2:15475  not connected",
    "n3  learner  10.0.0.3:15475",
]


def test_members_are_listed_with_their_votes(run: Run, start: Start) -> None:
    node = start().on("GET /cluster/members", MEMBERS)
    node.on("GET /replication/status", {"role": "master"})

    ended = run("member", "list", node.url)

    assert ended.status == 0
    assert ended.output.splitlines() == LINES


@pytest.mark.parametrize("url", ["http://10.0.0.1:15474", ""])
def test_a_replica_does_not_say_who_is_not_connected(
    run: Run, start: Start, url: str
) -> None:
    node = start().on("GET /cluster/members", MEMBERS)
    node.on("GET /replication/status", {"role": "replica", "master_url": url})

    *lines, last = run("member", "list", node.url).output.splitlines()

    assert lines == [line.removesuffix("  not connected") for line in LINES]
    where = url or "the master's URL"
    assert last.endswith(f"nexus member list {where}")


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ([], {"node_id": "n3"}),
        (
            ["--address", "10.0.0.3:15475"],
            {"node_id": "n3", "address": "10.0.0.3:15475"},
        ),
    ],
)
def test_a_voter_is_added_where_it_is_reached(
    run: Run, start: Start, options: list[str], body: dict[str, str]
) -> None:
    node = start().on("POST /cluster/members", MEMBERS)

    ended = run("member", "add", node.url, "n3", *options)

    assert ended.output.splitlines() == LINES
    assert node.bodies("/cluster/members") == [body]


def test_a_voter_is_removed_by_its_id(run: Run, start: Start) -> None:
    node = start().on("DELETE /cluster/members/n2%2F..%3F", MEMBERS)

    ended = run("member", "remove", node.url, "n2/..?")

    assert ended.output.splitlines() == LINES


def test_a_change_that_cannot_be_made_now_says_why(run: Run, start: Start) -> None:
    node = start().problem("DELETE /cluster/members/n1", 409, detail="n1 reigns")

    ended = run("member", "remove", node.url, "n1")

    assert ended.status == 1
    assert ended.error == f"nexus: {node.url}: n1 reigns\n"


@pytest.mark.parametrize(("said", "enabled"), [("on", True), ("off", False)])
def test_maintenance_is_told_while_it_lasts(
    run: Run,
    start: Start,
    said: str,
    enabled: bool,  # noqa: FBT001
) -> None:
    node = start().on(
        "POST /cluster/maintenance", MEMBERS | {"auto_failover": not enabled}
    )

    ended = run("maintenance", node.url, said)

    assert node.bodies("/cluster/maintenance") == [{"enabled": enabled}]
    assert ended.output.endswith("by itself\n") is enabled


def test_members_as_json_are_the_nodes_answer(run: Run, start: Start) -> None:
    node = start().on("GET /cluster/members", MEMBERS)

    assert json.loads(run("member", "list", node.url, "--json").output) == MEMBERS
