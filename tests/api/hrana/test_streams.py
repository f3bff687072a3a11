import asyncio

import pytest

from api.fake_stream import FakeStream
from nexus.api.hrana.streams import Baton, Streams
from nexus.api.refusals import BatonUsedError, StreamGoneError, TooManyStreamsError
from node.builders import until


def streams(*, idle_s: float = 60.0, most: int = 4) -> Streams:
    return Streams(lambda: "n1", FakeStream, idle_s=idle_s, most=most)


async def begun(kept: Streams) -> str:
    async with kept.visit(None) as visit:
        assert visit.baton is not None
        return visit.baton


async def test_each_answer_has_the_baton_of_the_next_request() -> None:
    kept = streams()
    first = await begun(kept)
    async with kept.visit(first) as visit:
        second = visit.baton
    assert second not in (None, first)

    with pytest.raises(BatonUsedError):
        async with kept.visit(first):
            pass
    async with kept.visit(second) as visit:
        visit.stream.close()
        assert visit.baton is None
    assert kept.count == 0
    with pytest.raises(StreamGoneError):
        async with kept.visit(second):
            pass


async def test_a_baton_of_another_process_or_another_stream_opens_nothing() -> None:
    kept, other = streams(), streams()
    ours, theirs = await begun(kept), await begun(other)
    mixed = Baton.of(ours)
    assert mixed is not None
    stolen = str(mixed).replace(mixed.seal, theirs.rpartition(".")[2])

    for baton in (theirs, stolen, f"n1.{mixed.stream_id}.²." + mixed.seal):
        assert kept.peek(baton) is None
        with pytest.raises(StreamGoneError):
            async with kept.visit(baton):
                pass
    assert kept.peek(ours) is not None
    assert kept.peek(None) is None
    assert not kept.is_foreign(ours)
    assert kept.is_foreign(ours.replace("n1.", "n2."))


async def test_a_stream_that_nobody_asks_is_closed() -> None:
    kept = streams(idle_s=0.01)
    baton = await begun(kept)
    await until(lambda: kept.count == 0)

    with pytest.raises(StreamGoneError, match=r"after 0\.01 s"):
        async with kept.visit(baton):
            pass


async def test_no_more_streams_are_kept_than_agreed() -> None:
    kept = streams(most=1)
    await begun(kept)
    with pytest.raises(TooManyStreamsError, match="1 streams are open"):
        await begun(kept)
    kept.close()

    assert kept.count == 0
    await begun(kept)


async def test_requests_of_one_stream_wait_for_each_other() -> None:
    kept = streams()
    baton = await begun(kept)
    order: list[str] = []

    async def next_request(baton: str) -> None:
        async with kept.visit(baton):
            order.append("second")

    async with kept.visit(baton) as visit:
        assert visit.baton is not None
        waiting = asyncio.create_task(next_request(visit.baton))
        await asyncio.sleep(0)
        order.append("first")
    await waiting

    assert order == ["first", "second"]
    assert kept.count == 1


async def test_a_request_that_is_broken_off_closes_its_stream() -> None:
    kept = streams()
    baton = await begun(kept)
    with pytest.raises(asyncio.CancelledError):
        async with kept.visit(baton):
            raise asyncio.CancelledError

    assert kept.count == 0


async def test_who_has_the_next_baton_already_may_leave_and_come_again() -> None:
    kept = streams()
    baton = await begun(kept)
    leaving = asyncio.Event()

    async def leave() -> None:
        async with kept.visit(baton) as visit:
            visit.is_told = True
            told.append(visit.baton or "")
            leaving.set()
            await asyncio.Event().wait()

    async def goes_on(baton: str) -> bool:
        async with kept.visit(baton) as visit:
            [stream] = kept._kept.values()
            is_timed = stream.timer is not None and not stream.timer.cancelled()
            return not visit.stream.is_closed and not is_timed

    told: list[str] = []
    first = asyncio.create_task(leave())
    await leaving.wait()
    again = asyncio.create_task(goes_on(told[0]))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])

    assert await again
    assert kept.count == 1


async def test_an_error_closes_its_stream_though_the_next_baton_is_told() -> None:
    kept = streams()
    baton = await begun(kept)

    with pytest.raises(RuntimeError):  # noqa: PT012
        async with kept.visit(baton) as visit:
            visit.is_told = True
            raise RuntimeError

    assert kept.count == 0
