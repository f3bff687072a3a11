"""Orders that are the master's, given at another node's URL."""

from collections.abc import Callable

import pytest

from cli.conftest import Run
from cli.fake_nodes import FakeNode

Start = Callable[[], FakeNode]

SWITCHED = {"former_id": "n1", "master_id": "n2", "seconds": 0.1}
ORDER = "POST /replication/switchover"


def replica_of(master_url: str, node: FakeNode, call: str = ORDER) -> FakeNode:
    detail = f"this node is no master; ask the master at {master_url}"
    return node.problem(
        call, 409, code="wrong_role", detail=detail, master_url=master_url
    )


@pytest.mark.parametrize(
    ("call", "command", "answer"),
    [
        (ORDER, ("switchover", "n2"), SWITCHED),
        ("POST /replication/mode", ("mode", "sync"), {"mode": "sync"}),
        (
            "POST /cluster/maintenance",
            ("maintenance", "on"),
            {"members": [], "auto_failover": True},
        ),
    ],
)
def test_a_replica_s_url_will_do(
    run: Run, start: Start, call: str, command: tuple[str, str], answer: object
) -> None:
    master = start().on(call, answer)
    replica = replica_of(master.url, start(), call)

    ended = run(command[0], replica.url, command[1])

    assert ended.status == 0
    assert len(master.requests) == len(replica.requests) == 1


@pytest.mark.parametrize(
    ("command", "call", "answer"),
    [
        (
            ("member", "add", "n3"),
            "POST /cluster/members",
            {"members": [], "auto_failover": True},
        ),
        (
            ("member", "remove", "n3"),
            "DELETE /cluster/members/n3",
            {"members": [], "auto_failover": True},
        ),
    ],
)
def test_it_will_do_for_the_members_too(
    run: Run, start: Start, command: tuple[str, str, str], call: str, answer: object
) -> None:
    master = start().on(call, answer)
    replica = replica_of(master.url, start(), call)

    assert run(command[0], command[1], replica.url, command[2]).status == 0
    assert len(master.requests) == 1


def test_a_master_that_is_out_of_reach_from_here_is_told_beside_the_refusal(
    run: Run, start: Start
) -> None:
    with FakeNode() as gone:
        url = gone.url
    replica = replica_of(url, start())

    ended = run("switchover", replica.url, "n2")

    assert ended.status == 1
    assert f"no master; ask the master at {url}" in ended.error
    assert f"from here {url} does not answer" in ended.error


def test_a_node_that_names_itself_is_not_asked_again(run: Run, start: Start) -> None:
    node = start()
    replica_of(node.url, node)

    assert run("switchover", node.url, "n2").status == 1
    assert len(node.requests) == 1


def test_two_nodes_that_name_each_other_are_each_asked_once(
    run: Run, start: Start
) -> None:
    one, other = start(), start()
    replica_of(other.url, one)
    replica_of(one.url, other)

    assert run("switchover", one.url, "n2").status == 1
    assert (len(one.requests), len(other.requests)) == (1, 1)
