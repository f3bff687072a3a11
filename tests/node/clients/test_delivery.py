"""Rows go to a client as it asks for them, and not faster."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nexus.errors import TransactionExpiredError
from nexus.node.clients.delivery import Delivery
from nexus.node.clients.pending import Pending
from nexus.node.reading.pieces import Reading
from nexus.protocol.calls import Done, Execute, Rows
from nexus.protocol.codec import Decoder
from nexus.storage.capturing.results import StatementResult
from node.builders import until

RESULTS = [StatementResult(("v",), [(1,), (2,), (3,)], 3, 3)]


class Host:
    """A node whose clients wait no longer than a test does."""

    rest_limit_s = 60.0

    async def on_reader(self, call: Callable[[], Any]) -> Any:
        return call()

    def close_soon(self, reading: Reading) -> None:
        raise AssertionError(f"nothing is read: {reading}")

    def rests(self, pending: Pending) -> None:
        raise AssertionError(f"nothing is read: {pending}")

    def goes_on(self, pending: Pending) -> None:
        raise AssertionError(f"nothing is read: {pending}")


def delivery(host: Host) -> tuple[Delivery, list[Any]]:
    sent: list[Any] = []
    return Delivery(host, lambda frames: sent.extend(Decoder().feed(frames))), sent


async def test_results_go_piece_by_piece() -> None:
    told, sent = delivery(Host())
    pending = Pending(Execute(1, (), fetch_rows=2), lambda: None)
    work = asyncio.create_task(told.of_results(pending, RESULTS, Done(1)))
    await until(lambda: sent)
    assert sent == [Rows(1, 0, ("v",), [(1,), (2,)], more=True)]

    assert pending.fetched is not None
    pending.fetched.set_result(0)
    await work

    assert sent[1:] == [Rows(1, 0, (), [(3,)]), Done(1)]


async def test_a_client_that_does_not_read_is_not_sent_more() -> None:
    told, sent = delivery(Host())
    told.writable.clear()
    pending = Pending(Execute(1, ()), lambda: None)
    work = asyncio.create_task(told.of_results(pending, RESULTS, Done(1)))
    await asyncio.sleep(0.01)
    assert sent == []

    told.writable.set()
    await work

    assert len(sent) == 2


async def test_rows_are_kept_for_a_time_only() -> None:
    host = Host()
    host.rest_limit_s = 0.01
    told, _ = delivery(host)
    pending = Pending(Execute(1, (), fetch_rows=1), lambda: None)

    with pytest.raises(TransactionExpiredError, match="dropped; read them anew"):
        await told.of_results(pending, RESULTS, Done(1))
