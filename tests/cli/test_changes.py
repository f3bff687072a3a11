"""nexus changes."""

import json
from collections.abc import Callable

import pytest

from cli.conftest import Run
from cli.fake_nodes import FakeNode

Start = Callable[[], FakeNode]

CHANGES = (
    b'{"op":"heartbeat","id":"1:8@h","epoch":1,"offset":8}\n'
    b'{"op":"insert","id":"1:9@h","epoch":1,"offset":9,"index":0,"last":true,'
    b'"table":"t","key":{"id":1},"new":{"id":1,"v":{"$blob":"AP8="}}}\n'
)


def test_every_change_is_a_line_of_json_as_the_node_has_it(
    run: Run, start: Start
) -> None:
    node = start().on(
        "GET /changes?table=t&table=u&heartbeat_ms=5000&since=7&until=9&follow=false",
        CHANGES,
    )

    ended = run(
        "changes", node.address, "--since", "7", "--table", "t", "--table", "u",
        "--until", "9", "--no-follow",
    )  # fmt: skip

    (line,) = ended.output.splitlines()
    assert ended.status == 0
    assert json.loads(line) == json.loads(CHANGES.splitlines()[1])


def test_it_ends_after_so_many(run: Run, start: Start) -> None:
    node = start().on("GET /changes?heartbeat_ms=5000&limit=1", CHANGES * 5)

    assert len(run("changes", node.url, "--limit", "1").output.splitlines()) == 1


@pytest.mark.parametrize(
    ("problem", "mend"),
    [
        ({"code": "changes_gone", "oldest_offset": 70}, "--since 69"),
        ({"code": "position_lost", "resume_from": "1:5@h"}, "--since 1:5@h"),
        ({"code": "position_lost"}, "it is so"),
    ],
)
def test_where_nobody_can_go_on_it_says_where_one_can(
    run: Run, start: Start, problem: dict[str, object], mend: str
) -> None:
    node = start().problem(
        "GET /changes?heartbeat_ms=5000&since=7", 410, detail="it is so", **problem
    )

    ended = run("changes", node.url, "--since", "7")

    assert (ended.status, ended.output) == (1, "")
    assert mend in ended.error
    assert len(ended.error.splitlines()) == 1


def test_a_cluster_that_does_not_answer_is_given_up(run: Run) -> None:
    ended = run("changes", "127.0.0.1:1", "--timeout", "0")

    assert ended.status == 1
    assert "no node has given changes" in ended.error
