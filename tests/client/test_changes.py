"""From node to node: which is asked, with what, and what ends it."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typing_extensions import override

from nexus.client.changes import LEAST_LOOK_S, Changes, Wanted, changes
from nexus.client.feedlink import FeedLink, Query
from nexus.errors import (
    ChangesGoneError,
    NexusError,
    NodeUnreachableError,
    NotAppliedError,
    PositionLostError,
    RequestError,
)
from nexus.model.change import Change
from nexus.model.position import Epoch, HistoryId, Offset, Position

Answer = list[Change | NexusError] | NexusError
LOST = NodeUnreachableError("it does not answer")


def change(offset: int) -> Change:
    return Change(op="insert", id=f"1:{offset}@h", epoch=1, offset=offset, index=0)


def beat(offset: int) -> Change:
    return Change(op="heartbeat", id=f"1:{offset}@h", epoch=1, offset=offset)


class FakeLink(FeedLink):
    """Nodes that answer what a test has told them to, each answer once."""

    def __init__(self, known: tuple[str, ...] = (), **answers: list[Answer]) -> None:
        super().__init__("", 1.0)
        self.answers = answers
        self.known = known
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.limits_s: list[float] = []

    @override
    def open(
        self, url: str, query: Query, timeout_s: float = math.inf
    ) -> Iterator[Change]:
        self.asked.append((url, dict(query)))
        self.limits_s.append(timeout_s)
        answers = self.answers.get(url, [])
        answer = answers.pop(0) if answers else LOST
        if isinstance(answer, NexusError):
            raise answer
        return self._told(answer)

    @override
    def known_nodes(self, url: str) -> list[str]:
        return [each for each in self.known if each != url]

    def _told(self, answer: list[Change | NexusError]) -> Iterator[Change]:
        for each in answer:
            if isinstance(each, NexusError):
                raise each
            yield each


def feed(
    link: FakeLink,
    *urls: str,
    sleep: Callable[[float], None] = lambda _: None,
    timeout_s: float | None = None,
    **wanted: Any,
) -> Changes:
    wish = Wanted(**wanted)
    return Changes(link, urls or ("a",), wish, timeout_s=timeout_s, sleep=sleep)


def offsets(found: Iterator[Change]) -> list[int]:
    return [each.offset for each in found]


def test_it_goes_on_at_another_node_behind_what_it_gave() -> None:
    link = FakeLink(
        a=[[beat(1), change(2), change(3), LOST]],
        b=[[change(4), change(5)]],
    )

    with feed(link, "a", "b", limit=4) as found:
        assert offsets(found) == [2, 3, 4, 5]
        assert (found.url, found.position) == ("b", "1:5@h")

    (_, first), (url, second) = link.asked
    assert "since" not in first
    assert (url, second["since"], second["limit"]) == ("b", "1:3@h", 2)


def test_a_heartbeat_moves_the_place_and_is_no_change() -> None:
    link = FakeLink(a=[[beat(9), LOST], [change(12)]])

    found = feed(link, since="1:2@h", limit=1)

    assert offsets(found) == [12]
    assert [query["since"] for _, query in link.asked] == ["1:2@h", "1:9@h"]


@pytest.mark.parametrize(
    ("since", "told"),
    [
        (Position(Epoch(3), Offset(7), HistoryId("h")), "3:7@h"),
        (7, "7"),
        ("3:7@h/2", "3:7@h/2"),
    ],
)
def test_a_place_is_told_in_any_form(since: Any, told: str) -> None:
    assert feed(FakeLink(), since=since).position == told


def test_what_is_wanted_is_told_to_the_node() -> None:
    link = FakeLink(a=[[]])

    found = feed(
        link, tables=("t", "u"), until=9, follow=False, heartbeat_s=2.0, since=1
    )

    assert list(found) == []
    assert Wanted(tables=("t", "u")).query("", None)[:2] == [
        ("table", "t"),
        ("table", "u"),
    ]
    assert link.asked[0][1] == {
        "table": "u",
        "heartbeat_ms": 2000,
        "since": "1",
        "until": 9,
        "follow": "false",
    }


def test_one_table_may_be_named_as_it_is() -> None:
    assert Wanted(tables="orders").tables == ("orders",)


def test_nodes_that_are_found_are_tried_too() -> None:
    link = FakeLink(("b", "c"), a=[[change(1), LOST]], b=[LOST], c=[[change(2)]])

    assert offsets(feed(link, "a", limit=2)) == [1, 2]
    assert [url for url, _ in link.asked] == ["a", "b", "c"]


def test_the_pauses_between_rounds_grow_and_have_a_bound() -> None:
    pauses: list[float] = []
    link = FakeLink(a=[*[LOST] * 9, [change(1)]])

    assert offsets(feed(link, limit=1, sleep=pauses.append)) == [1]

    assert 0.05 < pauses[0] <= 0.1
    assert 3 < pauses[-1] <= 5.0
    assert sorted(pauses[:6]) == pauses[:6]


def test_without_any_node_it_ends_after_the_time_allowed() -> None:
    with pytest.raises(NodeUnreachableError, match="no node has given changes"):
        next(feed(FakeLink(), "a", "b", timeout_s=0.0))


def test_a_lost_place_is_told_once_no_node_goes_on() -> None:
    lost = PositionLostError("taken back", resume_from="1:5@h")
    ahead = FakeLink(a=[lost], b=[[change(1)]])
    nobody = FakeLink(a=[lost], b=[LOST], c=[NotAppliedError("behind")])

    assert offsets(feed(ahead, "a", "b", limit=1)) == [1]
    with pytest.raises(PositionLostError) as raised:
        next(feed(nobody, "a", "b", "c"))

    assert raised.value.resume_from == "1:5@h"


def test_what_is_gone_everywhere_is_told_with_the_oldest_of_all() -> None:
    gone = [ChangesGoneError("dropped", oldest_offset=n) for n in (70, 40)]
    nobody = FakeLink(a=[gone[0]], b=[gone[1]], c=[LOST])
    perhaps = FakeLink(a=[gone[0], gone[0]], b=[NotAppliedError("behind"), [change(9)]])

    with pytest.raises(ChangesGoneError) as raised:
        next(feed(nobody, "a", "b", "c"))

    assert raised.value.oldest_offset == 40
    assert offsets(feed(perhaps, "a", "b", limit=1)) == [9]


def test_what_every_node_would_refuse_ends_it_at_once() -> None:
    link = FakeLink(a=[RequestError("no such form")])

    with pytest.raises(RequestError, match="no such form"):
        next(feed(link, "a", "b"))

    assert len(link.asked) == 1


def test_a_feed_that_is_stopped_ends_wherever_it_waits() -> None:
    between = feed(FakeLink(a=[[change(1), change(2), change(3)]]))
    assert next(between).offset == 1
    between.stop()
    searching = feed(FakeLink(), sleep=lambda _: searching.stop())
    unbegun = feed(FakeLink(a=[[change(1)]]))
    unbegun.stop()

    assert [list(each) for each in (between, searching, unbegun)] == [[], [], []]


def test_addresses_are_listed_or_separated_by_commas() -> None:
    listed = changes(["http://a:1/", "http://b:1"])
    written = changes(" http://a:1 , http://b:1/,,", timeout=None)

    assert listed._urls == written._urls == ["http://a:1", "http://b:1"]
    listed.close()
    written.close()
    with pytest.raises(RequestError, match="name one node"):
        changes("")
    with pytest.raises(RequestError, match="over HTTP"):
        changes("nexus://a:1")


def test_no_pause_and_no_look_goes_beyond_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    link, now = FakeLink(), [100.0]
    monkeypatch.setattr("nexus.client.changes.time.monotonic", lambda: now[0])

    def sleep(pause_s: float) -> None:
        now[0] += pause_s

    found = feed(link, "a", "b", sleep=sleep, timeout_s=3.0)
    with pytest.raises(NodeUnreachableError, match="for 3 s"):
        next(found)

    assert now[0] == pytest.approx(103.0, abs=0.1)
    assert max(link.limits_s) == 3.0
    assert min(link.limits_s) == LEAST_LOOK_S


def test_without_a_timeout_a_look_has_the_links_own() -> None:
    link = FakeLink(a=[[change(1)]])

    assert offsets(feed(link, limit=1)) == [1]
    assert link.limits_s == [math.inf]
