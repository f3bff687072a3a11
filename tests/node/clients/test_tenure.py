"""The transaction that a client of the port holds: one, in order, and never left."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus.errors import AnswerTooLargeError, RequestError, TransactionExpiredError
from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.node.clients import tenure
from nexus.node.clients.tenure import Tenure, bound, placed
from nexus.node.transactions import TransactionManager
from nexus.protocol.calls import Begin, Done, Query
from node.builders import open_desk, until, wanted

INSERT = Query("insert into t values (1)")


class Host:
    """A node with a writer."""

    def __init__(self, manager: TransactionManager) -> None:
        self.idle_limit_s = 60.0
        self._manager = manager

    def writer(self) -> TransactionManager:
        return self._manager


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    desk = open_desk(tmp_path)
    with desk.manager() as manager:
        manager.execute_blocking(wanted("create table t(v)"))
        yield Host(manager)
    desk.close()


async def test_what_is_committed_has_a_place_in_the_log(host: Host) -> None:
    held = Tenure(host)
    await held.begin(Begin(7))
    assert held.stands(7)
    await held.execute(7, (INSERT, INSERT))

    done = await held.commit(8, 7)

    assert done.offset == 3
    assert not held.stands(7)
    with pytest.raises(TransactionExpiredError, match="committed"):
        await held.execute(7, (INSERT,))


async def test_calls_are_done_in_the_order_of_asking(host: Host) -> None:
    held = Tenure(host)
    calls: list[Any] = [
        held.begin(Begin(1)),
        held.execute(1, (INSERT,)),
        held.execute(1, (Query("select count(*) from t"),)),
        held.commit(2, 1),
    ]

    _, _, (counted,), done = await asyncio.gather(*calls)

    assert counted.rows == [(1,)]
    assert done.offset > 0


async def test_there_is_no_second_one_beside_the_first(host: Host) -> None:
    held = Tenure(host)
    await held.begin(Begin(1))

    with pytest.raises(RequestError, match="already"):
        await held.begin(Begin(2))
    with pytest.raises(TransactionExpiredError, match="no transaction 2"):
        await held.commit(3, 2)

    await held.roll_back(4, 1)
    await held.roll_back(5, 1)
    await held.begin(Begin(6))
    held.leave()
    assert not held.stands(6)


async def test_one_that_idles_too_long_stands_no_more(host: Host) -> None:
    host.idle_limit_s = 0.02
    held = Tenure(host)
    await held.begin(Begin(1))
    await until(lambda: not held.stands(1))

    with pytest.raises(TransactionExpiredError, match="idle for more than"):
        await held.execute(1, (INSERT,))
    assert not held.stands(1)


async def test_a_client_without_one_leaves_and_interrupts_nothing(host: Host) -> None:
    held = Tenure(host)

    held.interrupt()
    held.leave()

    assert not held.stands(0)


async def test_rows_within_one_are_bounded(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenure, "MOST_BYTES_INSIDE", 100)
    held = Tenure(host)
    await held.begin(Begin(1))

    with pytest.raises(AnswerTooLargeError):
        await held.execute(1, (Query("select zeroblob(1000)"),))
    held.leave()


def test_parameters_are_bound_by_place_or_by_name() -> None:
    assert bound(Query("", [1, 2])) == (1, 2)
    assert bound(Query("", {"a": 1})) == {"a": 1}


def test_what_wrote_nothing_has_no_place() -> None:
    done = Done(1, ((1, 1),))
    position = Position(Epoch(2), Offset(3), HistoryId("h"))

    assert placed(done, None) is done
    assert placed(done, position) == Done(
        1, ((1, 1),), Offset(3), Epoch(2), HistoryId("h")
    )
