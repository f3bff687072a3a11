"""From any node all are seen: alive, silent, of another release, or only named."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from api.company import company
from api.fake_master import listening, reply
from api.fake_node import STATUS, FakeNode
from nexus.api import lookout
from nexus.api.figures import ClusterView, NodeFigures, NodeView, figures_of
from nexus.api.lookout import Lookout
from nexus.model.cluster import MemberView

NOT_FOUND = reply(b"{}", "404 Not Found")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "PERIOD_S", 0.0)


def by_id(view: ClusterView) -> dict[str, NodeView]:
    return {node.node_id: node for node in view.nodes}


async def test_a_replica_sees_its_master_and_a_master_its_replicas(
    tmp_path: Path,
) -> None:
    async with company(tmp_path) as both:
        for node in (both.master, both.replica):
            seen = by_id(await Lookout(node).look())
            assert sorted(seen) == ["n1", "r1"]
            assert {one.error for one in seen.values()} == {""}
            assert seen["r1"].url == both.replica_url
            assert seen["r1"].addr == "127.0.0.1:2"
            assert seen["n1"].url == both.master.current.master_url


async def test_figures_are_the_nodes_own(tmp_path: Path) -> None:
    async with company(tmp_path) as both:
        seen = by_id(await Lookout(both.master).look())

    told = seen["r1"].figures
    assert told is not None
    assert told.status == both.replica.status()
    assert told.replica_stats == both.replica.replica_stats()


async def test_a_node_that_dies_stays_in_view_with_its_last_figures(
    tmp_path: Path,
) -> None:
    async with company(tmp_path) as both:
        seen_from = Lookout(both.master)
        before = by_id(await seen_from.look())
        await both.replica_server.stop()
        after = by_id(await seen_from.look())

    assert "does not answer" in after["r1"].error
    assert after["r1"].figures == before["r1"].figures


async def test_a_silent_node_that_nobody_names_is_forgotten(tmp_path: Path) -> None:
    async with company(tmp_path) as both:
        seen_from = Lookout(both.master)
        await seen_from.look()
        await both.replica_server.stop()
        both.master.replica_id, both.master.replica_url = "r2", "http://127.0.0.1:1"
        seen = by_id(await seen_from.look())

    assert sorted(seen) == ["n1", "r2"]
    assert seen["r2"].figures is None
    assert "does not answer" in seen["r2"].error


async def test_who_has_no_url_is_not_taken_for_another(replica: FakeNode) -> None:
    voter = MemberView(id="v9", addr="127.0.0.1:9", voter=True, connected=False)
    configuration = replace(replica.configuration, members=(voter,))
    replica.configuration = configuration

    seen = by_id(await Lookout(replica).look())

    assert "127.0.0.1:9 is not connected" in seen["v9"].error


async def test_a_voter_of_which_only_the_address_is_known_is_in_view(
    node: FakeNode,
) -> None:
    voter = MemberView(id="v9", addr="127.0.0.1:9", voter=True, connected=False)
    node.configuration = replace(node.configuration, members=(voter,))

    seen = by_id(await Lookout(node).look())

    assert (seen["v9"].url, seen["v9"].addr) == ("", "127.0.0.1:9")
    assert seen["v9"].error.startswith("127.0.0.1:9 is not connected to any node")


async def test_events_of_all_nodes_are_kept_once_in_the_order_of_arrival(
    tmp_path: Path,
) -> None:
    async with company(tmp_path) as both:
        seen_from = Lookout(both.master)
        both.master.events.info("paused", "here")
        both.replica.events.info("follows", "there")
        await seen_from.look()
        both.master.events.info("resumed", "here")
        await seen_from.look()

    told = seen_from.events_after(0)
    assert [(one.node_id, one.event.kind) for _, one in told] == [
        ("n1", "paused"),
        ("r1", "follows"),
        ("n1", "resumed"),
    ]
    assert [number for number, _ in told] == [1, 2, 3]
    assert [one.event.kind for _, one in seen_from.events_after(2)] == ["resumed"]


async def test_a_node_of_an_older_release_shows_its_status(node: FakeNode) -> None:
    told = msgspec.to_builtins(replace(STATUS, node_id="r1"))
    del told["failovers"]
    async with listening(NOT_FOUND, reply(msgspec.json.encode(told))) as old:
        node.replica_url = old.url
        seen = by_id(await Lookout(node).look())

    figures = seen["r1"].figures
    assert figures is not None
    assert (figures.status.epoch, figures.status.failovers) == (2, 0)
    assert [line.split()[1] for line, _, _ in old.requests] == [
        "/cluster/node?events_since=0",
        "/replication/status",
    ]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (reply(b'{"a": 1}'), "another release"),
        (reply(b"[1]"), "another release"),
        (reply(b"no json"), "another release"),
        (
            reply(b'{"detail": "no token"}', "401 No"),
            "lives, and refuses its figures (401: no token)",
        ),
        (reply(b"no json", "503 No"), "answers 503"),
    ],
)
async def test_an_answer_that_says_nothing_is_told_as_such(
    tmp_path: Path, answer: bytes, why: str
) -> None:
    async with company(tmp_path) as both, listening(answer) as other:
        seen_from = Lookout(both.master)
        await seen_from.look()
        both.master.replica_url = other.url
        await both.replica_server.stop()
        seen_from._views["r1"] = replace(seen_from._views["r1"], url=other.url)
        seen = by_id(await seen_from.look())

    assert why in seen["r1"].error


async def test_another_node_at_a_known_address_takes_the_place_of_the_first(
    node: FakeNode,
) -> None:
    def answer(node_id: str) -> bytes:
        status = replace(STATUS, node_id=node_id, master_id="n1")
        return reply(msgspec.json.encode(NodeFigures(at_us=1, status=status)))

    async with listening(answer("r1"), answer("r2")) as other:
        node.replica_url = other.url
        seen_from = Lookout(node)
        first = by_id(await seen_from.look())
        node.replica_id = "r2"
        second = by_id(await seen_from.look())

    assert sorted(first) == ["n1", "r1"]
    assert sorted(second) == ["n1", "r2"]


async def test_a_node_whose_address_another_one_has_now_is_told_as_such(
    node: FakeNode,
) -> None:
    status = replace(STATUS, node_id="r2", master_id="n1")
    answer = reply(msgspec.json.encode(NodeFigures(at_us=1, status=status)))
    async with listening(answer, answer) as other:
        node.replica_url = other.url  # of r1, which was there before
        seen_from = Lookout(node)
        await seen_from.look()
        seen = by_id(await seen_from.look())

    assert sorted(seen) == ["n1", "r1", "r2"]
    assert seen["r2"].error == ""
    assert f"another node, r2, answers at {other.url}" in seen["r1"].error


async def test_who_is_forgotten_while_another_answers_in_its_place_stays_so(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "PATIENCE_S", 0.02)

    def answer(node_id: str) -> bytes:
        status = replace(STATUS, node_id=node_id, master_id="n1")
        return reply(msgspec.json.encode(NodeFigures(at_us=1, status=status)))

    async with listening(answer("r1"), answer("r2")) as other:
        node.replica_url = other.url
        seen_from = Lookout(node)
        async with asyncio.timeout(20):
            while "r1" not in by_id(await seen_from.look()):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)
        seen_from._views["r1"] = replace(seen_from._views["r1"], error="silent")
        other.hold.clear()
        node.replica_url, node.replica_id = "", "r3"
        async with asyncio.timeout(20):
            while "r1" in by_id(await seen_from.look()):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)
        other.hold.set()
        async with asyncio.timeout(20):
            while "r2" not in by_id(await seen_from.look()):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)

    assert "r1" not in by_id(seen_from.known)


async def test_a_slow_node_keeps_nobody_from_seeing_the_others(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "PATIENCE_S", 0.02)
    figures = msgspec.json.encode(figures_of(node, 0)).replace(b'"n1"', b'"r1"')
    async with listening(reply(figures)) as other:
        other.hold.clear()
        node.replica_url = other.url
        seen_from = Lookout(node)
        early = by_id(await seen_from.look())
        again = by_id(await seen_from.look())
        other.hold.set()
        async with asyncio.timeout(20):
            while by_id(await seen_from.look())["r1"].error:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)

    assert early["n1"].error == ""
    assert early["r1"].figures is None
    assert again["r1"].error


async def test_a_cluster_that_names_ever_more_nodes_is_left_alone(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "MOST_NODES", 0)
    async with listening() as other:
        node.replica_url = other.url
        await Lookout(node).look()

    assert other.requests == []


async def test_who_asks_at_the_same_time_shares_one_look(tmp_path: Path) -> None:
    async with company(tmp_path) as both:
        seen_from = Lookout(both.master)
        one, other = await asyncio.gather(seen_from.look(), seen_from.look())

    assert one == other
    assert one.nodes[0].figures is other.nodes[0].figures


async def test_a_look_just_now_is_not_repeated(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "PERIOD_S", 60.0)
    seen_from = Lookout(node)
    before = await seen_from.look()
    node.current = replace(node.current, epoch=9)

    assert await seen_from.look() == before


async def test_urls_are_those_of_nodes_that_have_one(tmp_path: Path) -> None:
    async with company(tmp_path) as both:
        urls = await Lookout(both.replica).urls()

    assert sorted(urls) == sorted([both.replica_url, both.master.current.master_url])


async def test_it_can_be_closed_while_it_looks(node: FakeNode) -> None:
    async with listening() as other:
        other.hold.clear()
        node.replica_url = other.url
        seen_from = Lookout(node)
        looking = asyncio.ensure_future(seen_from.look())
        await other.arrived.wait()
        seen_from.close()

        with pytest.raises(asyncio.CancelledError):
            await looking

    assert seen_from.url_of("n1") == STATUS.master_url
    assert seen_from.url_of("nobody") is None
