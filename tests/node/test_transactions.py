"""The TransactionManager: many clients, one writer thread."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus.errors import (
    ConstraintError,
    DatabaseBusyError,
    ForkedError,
    NexusError,
    NodeStoppedError,
    QuorumLostError,
    StatementError,
    StorageError,
    WritesStoppedError,
)
from nexus.model.position import Offset
from nexus.node import transactions
from nexus.node.transactions import TransactionManager
from nexus.node.writing.commitment import Commitment
from nexus.node.writing.work import Answer, Interactive, Transaction
from nexus.storage.capturing.results import Statement
from node.builders import (
    LIMIT_BYTES,
    PATIENCE_S,
    REIGN,
    Desk,
    elsewhere,
    in_a_child,
    locked_elsewhere,
    mark,
    open_desk,
    outcome_of,
    until,
    wanted,
)

CREATE = "create table t(id integer primary key, v unique)"
INSERT = "insert into t(v) values (?)"


class Gate:
    """An errand that holds the writer thread until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    def __call__(self) -> str:
        self.reached.set()
        assert self._open.wait(PATIENCE_S)
        return "opened"


async def held(manager: TransactionManager) -> tuple[Gate, asyncio.Task[str]]:
    """A writer that waits at a gate, so that clients can queue up behind it."""
    gate = Gate()
    errand = asyncio.create_task(manager.run(gate))
    await asyncio.to_thread(gate.reached.wait, PATIENCE_S)
    return gate, errand


def test_sixty_four_threads_each_get_an_offset_of_their_own(desk: Desk) -> None:
    def client(number: int) -> list[Answer]:
        return [
            manager.execute_blocking(wanted((INSERT, (f"{number}.{turn}",))))
            for turn in range(10)
        ]

    with desk.manager() as manager, ThreadPoolExecutor(64) as threads:
        manager.execute_blocking(wanted(CREATE))
        answers = [a for part in threads.map(client, range(64)) for a in part]

    offsets = [a.position.offset for a in answers if a.position is not None]
    assert sorted(offsets) == list(range(3, 643))
    assert desk.rows("select count(*) from t") == [(640,)]
    assert len(desk.stored) < 640, "transactions that wait share a sync"
    ids = [a.results[0].last_insert_rowid for a in answers]
    assert sorted(ids) == list(range(1, 641))


async def test_threads_and_tasks_share_one_writer(desk: Desk) -> None:
    with desk.manager() as manager:
        await manager.execute(wanted(CREATE))

        def in_a_thread(number: int) -> Answer:
            return manager.execute_blocking(wanted((INSERT, (f"thread {number}",))))

        answers = await asyncio.gather(
            *(manager.execute(wanted((INSERT, (n,)))) for n in range(50)),
            *(asyncio.to_thread(in_a_thread, n) for n in range(50)),
            manager.run(lambda: desk.database.position.offset),
        )
    assert len(answers) == 101
    assert desk.rows("select count(*) from t") == [(100,)]


async def test_what_waits_together_shares_one_sync(desk: Desk) -> None:
    with desk.manager() as manager:
        await manager.execute(wanted(CREATE))
        gate, errand = await held(manager)
        clients = [
            asyncio.create_task(manager.execute(wanted((INSERT, (n,)))))
            for n in range(20)
        ]
        await asyncio.sleep(0)
        desk.stored.clear()
        gate.open()
        await asyncio.gather(errand, *clients)
    assert desk.stored == [22]


async def test_a_client_that_gives_up_harms_nobody_and_its_write_may_stand(
    desk: Desk,
) -> None:
    with desk.manager() as manager:
        await manager.execute(wanted(CREATE))
        gate, errand = await held(manager)
        first, gone, last = (
            asyncio.create_task(manager.execute(wanted((INSERT, (n,)))))
            for n in range(3)
        )
        await asyncio.sleep(0)
        gone.cancel()
        gate.open()

        await errand
        assert [(await t).position is None for t in (first, last)] == [False, False]
        with pytest.raises(asyncio.CancelledError):
            await gone
    assert desk.rows("select v from t order by v") == [(0,), (1,), (2,)]


def test_a_loop_that_closes_under_its_client_does_not_stop_the_writer(
    desk: Desk,
) -> None:
    async def leave_at_once(manager: TransactionManager) -> None:
        waiting = asyncio.create_task(manager.execute(wanted((INSERT, (1,)))))
        await asyncio.sleep(0)
        del waiting

    with desk.manager() as manager, ThreadPoolExecutor(1) as pool:
        manager.execute_blocking(wanted(CREATE))
        gate = Gate()
        errand = pool.submit(asyncio.run, manager.run(gate))
        assert gate.reached.wait(PATIENCE_S)
        asyncio.run(leave_at_once(manager))
        gate.open()

        assert errand.result(PATIENCE_S) == "opened"
        assert manager.execute_blocking(wanted((INSERT, (2,)))).position is not None
    assert desk.rows("select v from t order by v") == [(1,), (2,)]


async def test_an_errand_answers_or_raises_and_the_writer_goes_on(desk: Desk) -> None:
    def refuse() -> None:
        raise StatementError("not now")

    with desk.manager() as manager:
        assert await manager.run(lambda: 7) == 7
        with pytest.raises(StatementError, match="not now"):
            await manager.run(refuse)
        assert await manager.write(mark()) == 2
    assert desk.marks == [2]


async def test_a_fault_of_ours_in_an_errand_is_told_to_its_caller_and_the_node(
    desk: Desk,
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a fault of ours")

    with desk.manager() as manager:
        with pytest.raises(ZeroDivisionError):
            await manager.run(broken)
        await asyncio.to_thread(desk.failed.wait, PATIENCE_S)
        with pytest.raises(WritesStoppedError, match="a fault of ours"):
            await manager.execute(wanted(CREATE))
        # An errand too, though errands pass a mere refusal of writes.
        with pytest.raises(WritesStoppedError, match="a fault of ours"):
            await manager.run(lambda: 7)
    assert isinstance(desk.failures[0], ZeroDivisionError)


@pytest.mark.interpreted
async def test_an_entry_of_our_own_that_sqlite_takes_back_stops_the_writer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken_back(_: object) -> None:
        desk.database.rollback()
        raise StorageError("SQLite could not commit")

    with desk.manager() as manager:
        await manager.execute(wanted(CREATE))
        monkeypatch.setattr(desk.database, "commit", taken_back)
        with pytest.raises(NexusError):
            await manager.write(mark())
        await asyncio.to_thread(desk.failed.wait, PATIENCE_S)
        with pytest.raises(WritesStoppedError):
            await manager.execute(wanted((INSERT, (1,))))
    assert desk.log.last_offset == 3


async def test_a_stop_answers_the_running_batch_and_refuses_what_waits(
    desk: Desk,
) -> None:
    with desk.manager() as manager:
        await manager.execute(wanted(CREATE))
        gate, errand = await held(manager)
        before = asyncio.create_task(manager.execute(wanted((INSERT, (1,)))))
        await asyncio.sleep(0)
        stopping = asyncio.create_task(asyncio.to_thread(manager.stop))
        await until(lambda: manager._turns.end is not None)
        with pytest.raises(NodeStoppedError):
            await manager.execute(wanted((INSERT, (2,))))
        gate.open()

        assert await errand == "opened"
        assert (await before).position is not None
        await stopping
        with pytest.raises(NodeStoppedError):
            await manager.run(lambda: 7)
    assert desk.rows("select v from t") == [(1,)]


def test_nobody_waits_for_ever_who_comes_while_the_writer_stops(desk: Desk) -> None:
    def clients(number: int) -> list[Answer | NexusError]:
        found: list[Answer | NexusError] = []
        while not found or isinstance(found[-1], Answer):
            request = wanted((INSERT, (f"{number}.{len(found)}",)))
            found.append(outcome_of(lambda: manager.execute_blocking(request)))  # noqa: B023 - called at once
        return found

    with desk.manager() as manager, ThreadPoolExecutor(16) as threads:
        manager.execute_blocking(wanted(CREATE))
        running = [threads.submit(clients, n) for n in range(16)]
        while len(desk.applied) < 20:
            threading.Event().wait(0.001)
        manager.stop()
        found = [future.result(PATIENCE_S) for future in running]

    done = sum(isinstance(one, Answer) for part in found for one in part)
    assert desk.rows("select count(*) from t") == [(done,)]
    assert all(isinstance(part[-1], NodeStoppedError) for part in found)


@pytest.mark.interpreted
async def test_too_many_waiting_clients_are_refused_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "MAX_WAITING_JOBS", 3)
    with desk.manager() as manager:
        await manager.execute(wanted(CREATE))
        gate, errand = await held(manager)
        waiting = [
            asyncio.create_task(manager.execute(wanted((INSERT, (n,)))))
            for n in range(3)
        ]
        await asyncio.sleep(0)
        with pytest.raises(WritesStoppedError, match="3 transactions are waiting"):
            await manager.execute(wanted((INSERT, (9,))))
        gate.open()
        await asyncio.gather(errand, *waiting)


async def test_a_refusal_of_all_that_takes_an_offset_holds_until_it_is_lifted(
    desk: Desk,
) -> None:
    with desk.manager() as manager:
        manager.refuse_writes(lambda: QuorumLostError("only 1 of 2"))
        for call in (
            manager.execute(wanted(CREATE)),
            manager.begin(Interactive(1.0)),
            manager.write(mark()),
        ):
            with pytest.raises(QuorumLostError):
                await call
        assert await manager.run(lambda: 7) == 7
        assert await asyncio.to_thread(manager.run_blocking, lambda: 8) == 8
        manager.refuse_writes(None)
        assert (await manager.execute(wanted(CREATE))).position is not None


async def test_a_writer_that_failed_takes_no_writes_when_a_refusal_is_lifted(
    desk: Desk,
) -> None:
    with desk.manager() as manager:
        await manager.execute(wanted(CREATE))
        elsewhere(desk.database.path, "insert into t(v) values ('foreign')")
        with pytest.raises(WritesStoppedError, match="somebody other"):
            await manager.execute(wanted((INSERT, (1,))))
        await asyncio.to_thread(desk.failed.wait, PATIENCE_S)
        manager.refuse_writes(None)
        with pytest.raises(WritesStoppedError, match="somebody other"):
            await manager.execute(wanted((INSERT, (1,))))
    assert desk.rows("select v from t") == [("foreign",)], "reads go on"


async def test_a_lock_held_elsewhere_stops_nobody_but_who_met_it(desk: Desk) -> None:
    with desk.manager() as manager:
        await manager.execute(wanted(CREATE))
        await manager.run(lambda: desk.database.writer.set_busy_timeout(1))
        with locked_elsewhere(desk.database.path):
            for call in (
                manager.execute(wanted((INSERT, (1,)))),
                manager.write(mark()),
                manager.begin(Interactive(1.0)),
            ):
                with pytest.raises(DatabaseBusyError):
                    await call
        assert (await manager.execute(wanted((INSERT, (1,))))).position is not None
    assert not desk.failures


async def test_without_foreign_keys_a_transaction_runs_in_a_batch_of_its_own(
    desk: Desk,
) -> None:
    orphan = (Statement("insert into child values (1)"),)
    with desk.manager() as manager:
        await manager.execute(
            wanted(
                "create table parent(id integer primary key)",
                "create table child(parent references parent)",
            )
        )
        with pytest.raises(ConstraintError):
            await manager.execute(Transaction(orphan))
        gate, errand = await held(manager)
        loose = asyncio.create_task(
            manager.execute(Transaction(orphan, foreign_keys=False))
        )
        strict = asyncio.create_task(manager.execute(Transaction(orphan)))
        await asyncio.sleep(0)
        gate.open()

        await errand
        assert (await loose).position is not None
        with pytest.raises(ConstraintError):
            await strict
    assert desk.rows("select * from child") == [(1,)]


async def test_in_sync_mode_a_reign_begins_without_waiting_for_its_quorum(
    tmp_path: Path,
) -> None:
    commitment = Commitment(PATIENCE_S)
    desk = open_desk(tmp_path, commitment)
    with desk.manager() as manager:
        first = asyncio.create_task(manager.execute(wanted(CREATE)))
        await asyncio.sleep(0)
        assert not first.done()
        commitment.reached(Offset(2))
        assert (await first).position is not None
    desk.close()


async def test_the_end_of_a_reign_is_told_to_everybody_who_waits(
    tmp_path: Path,
) -> None:
    commitment = Commitment(PATIENCE_S)
    desk = open_desk(tmp_path, commitment)
    with desk.manager() as manager:
        first = asyncio.create_task(manager.execute(wanted(CREATE)))
        await asyncio.sleep(0)
        commitment.end("deposed")
        with pytest.raises(NexusError):
            await first
        for call in (manager.execute(wanted(CREATE)), manager.run(lambda: 7)):
            with pytest.raises(NodeStoppedError):
                await call
    assert desk.database.position.offset == 0
    desk.close()


def test_a_child_after_fork_is_refused_and_the_parent_goes_on(desk: Desk) -> None:
    with desk.manager() as manager:
        manager.execute_blocking(wanted(CREATE))
        told = in_a_child(lambda: manager.execute_blocking(wanted((INSERT, (1,)))))
        answer = manager.execute_blocking(wanted((INSERT, (2,))))

    assert told == ForkedError.__name__
    assert answer.position is not None
    assert desk.rows("select v from t") == [(2,)]


def test_a_manager_that_never_began_stops_without_waiting(desk: Desk) -> None:
    manager = TransactionManager(
        desk.database, desk.log, desk.hooks(), limit_bytes=LIMIT_BYTES
    )
    manager.stop()
    with pytest.raises(NodeStoppedError):
        manager.execute_blocking(wanted(CREATE))
    assert REIGN not in desk.database.history().reigns


def test_what_a_loop_wanted_that_closed_before_its_next_turn_is_not_waited_for(
    desk: Desk,
) -> None:
    with desk.manager() as manager:
        loop = asyncio.new_event_loop()

        async def ask() -> None:
            manager._submit(wanted("select 1"), loop)
            loop.stop()

        asking = loop.create_task(ask())
        loop._run_once()  # type: ignore[attr-defined]  # one turn, and no further
        assert asking.done()
        assert [len(jobs) for jobs in manager._gathering.values()] == [1]
        loop.close()

        assert asyncio.run(manager.execute(wanted("select 1"))).position is None
        assert not manager._gathering
