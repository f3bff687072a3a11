"""What waits for the writer, and how an answer reaches who waits."""

import asyncio
import threading

import pytest

from nexus.errors import TransactionError
from nexus.node.writing.jobs import Job, deliver
from node.builders import PATIENCE_S


def test_a_thread_waits_until_its_job_is_delivered() -> None:
    job = Job("work")
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(job.wait()))
    thread.start()
    assert not found

    job.result = 7
    deliver([job])
    thread.join(PATIENCE_S)

    assert found == [7]
    assert job.delivered


def test_an_error_is_raised_in_the_thread_that_waits() -> None:
    job = Job("work")
    job.error = TransactionError("nothing happened")
    deliver([job])

    with pytest.raises(TransactionError, match="nothing happened"):
        job.wait()


async def test_jobs_of_a_loop_are_answered_on_it_whichever_thread_delivers() -> None:
    loop = asyncio.get_running_loop()
    good, bad = Job("work", loop), Job("work", loop)
    good.result, bad.error = 7, TransactionError("no")
    await asyncio.to_thread(deliver, [good, bad])

    assert good.waiter is not None
    assert bad.waiter is not None
    assert await good.waiter == 7
    with pytest.raises(TransactionError):
        await bad.waiter


async def test_a_client_that_gave_up_does_not_keep_the_others_from_their_answer() -> (
    None
):
    loop = asyncio.get_running_loop()
    gone, waiting = Job("work", loop), Job("work", loop)
    assert gone.waiter is not None
    assert waiting.waiter is not None
    gone.waiter.cancel()
    gone.result = waiting.result = 7

    deliver([gone, waiting])

    assert await waiting.waiter == 7
    assert gone.waiter.cancelled()


def test_a_closed_loop_does_not_keep_threads_from_their_answer() -> None:
    loop = asyncio.new_event_loop()
    orphan, waiting = Job("work", loop), Job("work")
    loop.close()
    waiting.result = 7

    deliver([orphan, waiting])

    assert waiting.wait() == 7
