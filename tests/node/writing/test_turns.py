"""Whoever finds the writer at rest writes himself; what goes wrong is told to all."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nexus.errors import (
    DiskFullError,
    NexusError,
    QuorumLostError,
    StorageError,
    WritesStoppedError,
)
from nexus.model.position import Offset
from nexus.node.transactions import TransactionManager
from nexus.node.writing.commitdelay import CommitDelay
from nexus.node.writing.commitment import Commitment
from nexus.node.writing.work import Answer
from nexus.storage.database import Database
from node.builders import Desk, outcome_of, until, wanted

CREATE = "create table t(id integer primary key, v unique)"
INSERT = "insert into t(v) values (?)"


def writing_threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """On which threads SQLite's commits happen, from now on."""
    threads: list[str] = []
    commit = Database.commit

    def noted(self: Database, position: Any) -> None:
        threads.append(threading.current_thread().name)
        commit(self, position)

    monkeypatch.setattr(Database, "commit", noted)
    return threads


@pytest.mark.interpreted
async def test_a_lone_thread_writes_itself_and_the_main_thread_never_does(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk.manager() as manager:
        threads = writing_threads(monkeypatch)
        manager.execute_blocking(wanted(CREATE))
        with ThreadPoolExecutor(1, thread_name_prefix="client") as pool:
            pool.submit(manager.execute_blocking, wanted((INSERT, (1,)))).result()
        await manager.execute(wanted((INSERT, (2,))))
    assert threads == ["nexus-writer", "client_0", "nexus-writer"]
    assert desk.rows("select v from t") == [(1,), (2,)]


@pytest.mark.interpreted
async def test_in_sync_mode_only_the_writers_own_thread_waits_for_the_quorum(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.commitment = Commitment(10.0)
    desk.commitment.reached(Offset(1_000))
    with desk.manager() as manager:
        threads = writing_threads(monkeypatch)
        await asyncio.to_thread(manager.execute_blocking, wanted(CREATE))
    assert threads[-1] == "nexus-writer"


@pytest.mark.interpreted
async def test_in_sync_mode_a_batch_looks_for_company_before_it_begins(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.commitment = Commitment(10.0)
    desk.commitment.reached(Offset(1_000))
    with desk.manager() as manager:
        await manager.execute(wanted(CREATE))
        asked: list[int] = []
        monkeypatch.setattr(
            CommitDelay, "gather", lambda _, present: asked.append(present())
        )
        await asyncio.gather(
            *(manager.execute(wanted((INSERT, (n,)))) for n in range(8))
        )
    assert asked
    assert desk.rows("select count(*) from t") == [(8,)]


@pytest.mark.interpreted
async def test_an_error_without_words_is_told_by_its_name(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Database, __: object) -> None:
        raise MemoryError

    with desk.manager() as manager:
        await manager.execute(wanted(CREATE))
        monkeypatch.setattr(Database, "commit", broken)

        await asyncio.to_thread(_insert, manager, 1)
        second = await asyncio.to_thread(_insert, manager, 2)

        assert "takes no writes: MemoryError" in str(second)


@pytest.mark.interpreted
async def test_a_failure_on_a_clients_thread_is_told_to_him_the_others_and_the_node(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Database, __: object) -> None:
        raise StorageError("the disk is gone")

    with desk.manager() as manager:
        await manager.execute(wanted(CREATE))
        monkeypatch.setattr(Database, "commit", broken)

        first = await asyncio.to_thread(_insert, manager, 1)
        second = await asyncio.to_thread(_insert, manager, 2)

        assert "may still commit" in str(first)
        assert isinstance(second, WritesStoppedError)
        await until(lambda: desk.failures)
    assert [str(error) for error in desk.failures] == ["the disk is gone"]


@pytest.mark.interpreted
async def test_a_full_disk_met_on_a_clients_thread_is_mended_by_the_writers_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Database, __: object) -> None:
        raise DiskFullError("no room")

    with desk.manager() as manager:
        await manager.execute(wanted(CREATE))
        with monkeypatch.context() as while_full:
            while_full.setattr(Database, "commit", full)
            first = await asyncio.to_thread(_insert, manager, 1)
            refused = await asyncio.to_thread(_insert, manager, 2)
        assert "may still commit" in str(first)
        assert isinstance(refused, DiskFullError)

        await until(lambda: desk.database.position.offset == 3)
        await until(
            lambda: isinstance(outcome_of(lambda: _insert_or_raise(manager)), Answer)
        )
    assert desk.failures == []
    assert (1,) in desk.rows("select v from t")
    kinds = [event.kind for event in desk.events.since(0)]
    assert kinds == ["disk_full", "disk_has_space"]


def test_threads_that_come_while_it_stops_are_all_answered(desk: Desk) -> None:
    started = threading.Barrier(9)

    def client(number: int) -> list[Answer | NexusError]:
        started.wait()
        return [_insert(manager, 1000 * number + turn) for turn in range(200)]

    with ThreadPoolExecutor(8) as pool:
        with desk.manager() as manager:
            manager.execute_blocking(wanted(CREATE))
            running = [pool.submit(client, number) for number in range(8)]
            started.wait()
        answers = [answer for one in running for answer in one.result()]

    kept = [answer for answer in answers if isinstance(answer, Answer)]
    assert len(answers) == 1600
    assert desk.rows("select count(*) from t") == [(len(kept),)]


def _insert(manager: TransactionManager, value: int) -> Answer | NexusError:
    return outcome_of(lambda: manager.execute_blocking(wanted((INSERT, (value,)))))


def _insert_or_raise(manager: TransactionManager) -> Answer:
    return manager.execute_blocking(wanted(("insert into t default values", ())))


async def test_whoever_waits_behind_a_batch_without_a_quorum_is_refused_in_time(
    desk: Desk,
) -> None:
    desk.commitment = Commitment(0.05)
    with desk.manager() as manager:
        errand = asyncio.create_task(manager.run(lambda: "done"))
        second = asyncio.create_task(manager.execute(wanted(CREATE)))
        with pytest.raises(QuorumLostError, match="nothing happened"):
            await second
        later = asyncio.create_task(manager.execute(wanted(CREATE)))
        with pytest.raises(QuorumLostError, match="nothing happened"):
            await later

        desk.commitment.reached(Offset(1))
        assert await errand == "done"
        desk.commitment.reached(Offset(2))
        assert (await manager.execute(wanted(CREATE))).position is not None
