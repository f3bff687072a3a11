"""A strong read is answered once the member knows, or is told why not."""

import asyncio

import pytest

from nexus.errors import NoMasterError
from nexus.model.position import Offset
from nexus.node.elections.pendingreads import PendingReads
from nexus.replication.members.effects import ReadReady, ReadRefused


async def test_a_read_that_is_answered_at_once_has_its_offset() -> None:
    reads = PendingReads()

    offset = await reads.wait(
        lambda read_id: reads.answer(ReadReady(read_id, Offset(7)))
    )

    assert offset == 7


async def test_a_read_that_nobody_confirms_says_that_nothing_was_read() -> None:
    reads = PendingReads()

    with pytest.raises(NoMasterError, match="no quorum; nothing was read"):
        await reads.wait(
            lambda read_id: reads.answer(ReadRefused(read_id, "no quorum"))
        )


async def test_an_answer_to_who_waits_no_more_is_passed_over() -> None:
    reads, asked = PendingReads(), list[str]()
    waiting = asyncio.create_task(reads.wait(asked.append))
    await asyncio.sleep(0)

    reads.cancel()
    reads.answer(ReadReady(asked[0], Offset(1)))

    with pytest.raises(asyncio.CancelledError):
        await waiting
    reads.answer(ReadReady(asked[0], Offset(1)))
    assert waiting.cancelled()
