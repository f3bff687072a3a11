"""Nodes that die and come back while somebody looks."""

from collections.abc import Iterable

from nexus.cli.cluster import NodeView
from nexus.cli.watching import Watch

A, B = "http://a:15474", "http://b:15474"
VOTER = "10.0.0.3:15475"
"""The address of a voter that is known by that alone."""


class Stage:
    """A cluster whose nodes a test moves; the clock goes on a second a look."""

    def __init__(self, *urls: str) -> None:
        self.offsets = {A: 0, B: 0}
        self.dead: set[str] = set()
        self.asked: list[list[str]] = []
        self.second = 0.0
        self.watch = Watch(urls, self.look, self.now_s)

    def now_s(self) -> float:
        self.second += 1
        return self.second

    def look(self, urls: Iterable[str]) -> tuple[NodeView, ...]:
        urls = list(urls)
        self.asked.append(urls)
        found = dict.fromkeys([*urls, B] if A not in self.dead else urls)
        return tuple(self.view(url, named=url in urls) for url in found)

    def view(self, url: str, *, named: bool) -> NodeView:
        if url == VOTER:
            found = {"node_id": "a" if A in self.dead else "v"}
            return NodeView(url=url, named=False, status=found, error="not connected")
        if url in self.dead:
            return NodeView(url=url, named=named, error=f"{url} does not answer")
        status = {"node_id": url[7], "applied_offset": self.offsets[url]}
        return NodeView(url=url, named=named, status=status)


def test_the_rate_is_of_what_was_applied_between_two_looks() -> None:
    stage = Stage(A)
    assert stage.watch.glance().rates == {}

    stage.offsets[A] = 250

    assert stage.watch.glance().rates == {"a": 250.0, "b": 0.0}


def test_a_voter_that_nobody_meets_keeps_its_name_and_is_shown_once() -> None:
    stage = Stage(A, VOTER)
    views = {view.url: view.status["node_id"] for view in stage.watch.glance().views}
    assert views == {A: "a", VOTER: "v", B: "b"}

    stage.dead.add(A)  # and now that voter is known to be this node

    assert [view.url for view in stage.watch.glance().views] == [A, B]


def test_a_node_that_was_found_is_looked_at_when_its_finder_is_gone() -> None:
    stage = Stage(A)
    stage.watch.glance()
    stage.dead.add(A)

    views = stage.watch.glance().views

    assert stage.asked[-1] == [A, B]
    assert [(view.status["node_id"], bool(view.error)) for view in views] == [
        ("a", True),
        ("b", False),
    ]


def test_a_node_that_comes_back_has_a_rate_again() -> None:
    stage = Stage(A)
    stage.watch.glance()
    stage.dead.add(A)
    assert "a" not in stage.watch.glance().rates
    stage.dead.clear()
    stage.offsets[A] = 20

    assert stage.watch.glance().rates["a"] == 10.0


def test_after_a_rewind_there_is_no_rate_for_once() -> None:
    stage = Stage(A)
    stage.offsets[A] = 9
    stage.watch.glance()
    stage.offsets[A] = 4

    assert "a" not in stage.watch.glance().rates
    assert stage.watch.glance().rates["a"] == 0.0


def test_a_node_that_answers_at_another_address_is_no_second_one() -> None:
    stage = Stage(A)
    stage.watch.glance()
    stage.watch._met["http://10.0.0.1:15474"] = "a"
    stage.watch._urls.append("http://10.0.0.1:15474")
    stage.dead.add("http://10.0.0.1:15474")

    views = stage.watch.glance().views

    assert [view.url for view in views] == [A, B]


def test_who_was_never_met_has_no_name() -> None:
    stage = Stage(A)
    stage.dead.add(A)

    (view,) = stage.watch.glance().views

    assert view.error
    assert view.status == {}
