"""Find a cluster's nodes from a few URLs."""

from collections.abc import Callable

import pytest

from cli.fake_nodes import FakeNode, joined, node_status
from nexus.cli.cluster import look, look_for_all, master_of
from nexus.cli.outcome import NotDoneError

Start = Callable[[], FakeNode]


def test_one_replica_leads_to_the_whole_cluster(start: Start) -> None:
    master, near, far = start(), start(), start()
    joined(master, near, far)

    views = look([near.url], "")

    assert [view.url for view in views] == [near.url, master.url, far.url]
    assert [view.named for view in views] == [True, False, False]


def test_a_node_known_by_two_urls_is_shown_once(start: Start) -> None:
    master = start()
    joined(master)

    views = look([master.address, master.url, f"localhost:{master.address[10:]}"], "")

    assert len(views) == 1


def test_a_silent_node_is_there_with_its_reason() -> None:
    with FakeNode() as gone:
        url = gone.url

    (view,) = look([url], "")

    assert "does not answer" in view.error
    assert view.role == ""


def test_the_master_is_the_one_that_takes_writes(start: Start) -> None:
    master, replica = start(), start()
    joined(master, replica)

    assert master_of(look([replica.url], "")).url == master.url


def test_where_a_node_lets_us_not_in_that_is_said_and_not_that_none_is_master(
    start: Start,
) -> None:
    master = start().problem("GET /replication/status", 401, detail="no token")
    master.on("GET /health", {"status": "ok", "node_id": "m", "role": "master"})

    (view,) = look([master.url], "")

    assert view.refuses
    assert (view.role, view.status["node_id"]) == ("master", "m")
    with pytest.raises(NotDoneError, match="no token; give a token"):
        master_of([view])


def test_without_a_master_or_with_two_there_is_an_error(start: Start) -> None:
    replica = start().on("GET /replication/status", node_status("replica"))
    with pytest.raises(NotDoneError, match="none of these nodes is a master"):
        master_of(look([replica.url], ""))

    first, second = start(), start()
    for name, node in (("a", first), ("b", second)):
        node.on("GET /replication/status", node_status(node_id=name))
        node.on("GET /replication/replicas", {"replicas": []})
    with pytest.raises(NotDoneError, match="all take writes"):
        master_of(look([first.url, second.url], ""))


def test_a_replica_that_others_follow_leads_to_them(start: Start) -> None:
    master, relay, far = start(), start(), start()
    joined(master, relay)
    found = node_status("replica", node_id="r", replica_count=1)
    relay.on("GET /replication/status", found | {"master_url": master.url})
    relay.on("GET /replication/replicas", {"replicas": [{"http_url": far.url}]})
    far.on("GET /replication/status", node_status("replica", node_id="far"))

    views = look([master.url], "")

    assert [view.url for view in views] == [master.url, relay.url, far.url]


def test_a_replica_of_a_replica_that_is_gone_stays_in_sight_by_its_name(
    start: Start,
) -> None:
    master, relay = start(), start()
    joined(master, relay)
    with FakeNode() as gone:
        url = gone.url
    relay.on("GET /replication/status", node_status("replica", node_id="relay"))
    row = {"id": "gone", "http_url": url}
    relay.on("GET /replication/replicas", {"replicas": [row]})

    *_, last = look([master.url], "")

    assert (last.url, last.status) == (url, {"node_id": "gone"})
    assert last.error


def test_a_node_that_answers_is_shown_before_an_address_it_has_left(
    start: Start,
) -> None:
    master, moved = start(), start()
    joined(master, moved)
    with FakeNode() as left:
        url = left.url
    rows = [{"id": "one", "http_url": url}, {"id": "one", "http_url": moved.url}]
    master.on("GET /replication/replicas", {"replicas": rows})
    moved.on("GET /replication/status", node_status("replica", node_id="one"))

    assert [view.url for view in look([master.url], "")] == [master.url, moved.url]


def members(*ids: str) -> dict[str, object]:
    """The voters of these ids, each on a machine of its own."""
    rows = [
        {"id": name, "addr": f"10.0.0.{number}:15475", "voter": True}
        for number, name in enumerate(ids, 1)
    ]
    learner = {"id": "learner", "addr": "10.0.0.9:15475", "voter": False}
    return {"members": [*rows, learner]}


def test_voters_that_no_node_has_met_are_shown_as_well(start: Start) -> None:
    replica = start().on(
        "GET /replication/status", node_status("replica", node_id="one")
    )
    replica.on("GET /cluster/members", members("one", "two", "three"))

    here, two, three = look_for_all([replica.url], "")

    assert not here.error
    assert (two.status["node_id"], two.url) == ("two", "10.0.0.2:15475")
    assert "10.0.0.3:15475: no master answers" in three.error


def test_only_where_a_master_answers_a_voter_that_it_lacks_is_called_lost(
    start: Start,
) -> None:
    master = start()
    master.on("GET /replication/status", node_status(node_id="one"))
    master.on("GET /replication/replicas", {"replicas": []})
    master.on("GET /cluster/members", members("one", "two"))

    _, two = look_for_all([master.url], "")

    assert "10.0.0.2:15475: this voter is not connected" in two.error


def test_voters_that_are_shown_by_their_urls_are_not_shown_twice(start: Start) -> None:
    master, near = start(), start()
    joined(master, near)
    with FakeNode() as gone:
        url = gone.url
    found = [
        {"id": "replica-1", "http_url": near.url},
        {"id": "gone", "http_url": url},
        {"id": "nameless", "http_url": ""},
    ]
    master.on("GET /replication/replicas", {"replicas": found})
    master.on("GET /cluster/members", members("replica-1", "gone", "nameless"))

    views = look_for_all([master.url], "")

    assert [view.url for view in views if view.error] == [url, "10.0.0.3:15475"]


def test_a_voter_whose_address_another_node_has_now_is_shown_as_gone(
    start: Start,
) -> None:
    master, newcomer = start(), start()
    joined(master, newcomer)
    newcomer.on("GET /replication/status", node_status("replica", node_id="new"))
    rows = [{"id": name, "http_url": newcomer.url} for name in ("one", "new")]
    master.on("GET /replication/replicas", {"replicas": rows})
    master.on("GET /cluster/members", members("one"))

    views = look_for_all([master.url], "")

    assert [view.url for view in views] == [master.url, newcomer.url, "10.0.0.1:15475"]
    assert f"another node, new, answers at {newcomer.url}" in views[2].error


def test_a_voter_that_was_named_and_is_silent_is_shown_once(start: Start) -> None:
    master = start()
    joined(master)
    known = {"id": "dead", "addr": "127.0.0.1:9", "voter": True}
    master.on("GET /cluster/members", {"members": [known]})

    views = look_for_all([master.url, "http://127.0.0.1:1"], "")

    assert [view.url for view in views] == [master.url, "http://127.0.0.1:1"]


def test_where_no_node_answers_there_are_no_voters_to_show() -> None:
    with FakeNode() as gone:
        url = gone.url

    assert len(look_for_all([url], "")) == 1
