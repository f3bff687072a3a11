"""Transactions of several statements that hold the writer between them."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from nexus.errors import (
    AnswerTooLargeError,
    ConstraintError,
    NexusError,
    NodeStoppedError,
    StatementError,
    TransactionExpiredError,
    TransactionTooLargeError,
    WritesStoppedError,
)
from nexus.node.transactions import TransactionManager
from nexus.node.writing.interactive import InteractiveTransaction
from nexus.node.writing.work import Interactive, Transaction
from nexus.storage.capturing.results import Statement
from node.builders import LIMIT_BYTES, PATIENCE_S, Desk, elsewhere, wanted

INSERT = "insert into t(v) values (?)"


@pytest.fixture
def manager(desk: Desk) -> Iterator[TransactionManager]:
    with desk.manager() as manager:
        manager.execute_blocking(
            wanted("create table t(id integer primary key, v unique)")
        )
        yield manager


def begun(
    manager: TransactionManager,
    *,
    idle_limit_s: float = PATIENCE_S,
    foreign_keys: bool = True,
    transaction_id: str = "",
) -> InteractiveTransaction:
    return manager.begin_blocking(
        Interactive(
            idle_limit_s, foreign_keys=foreign_keys, transaction_id=transaction_id
        )
    )


def test_its_statements_are_one_entry_and_seen_by_others_only_afterwards(
    desk: Desk, manager: TransactionManager
) -> None:
    transaction = begun(manager)
    assert transaction.execute(Statement(INSERT, (1,))).last_insert_rowid == 1
    transaction.execute(Statement(INSERT, (2,)))
    own = transaction.execute(Statement("select v from t order by id"))
    assert own.rows == [(1,), (2,)]
    assert desk.rows("select v from t") == []

    answer = transaction.commit()

    assert answer.position is not None
    assert answer.position.offset == desk.log.durable_offset == 3
    assert desk.rows("select v from t") == [(1,), (2,)]
    assert transaction.ended


def test_a_rollback_leaves_no_trace_and_a_second_one_does_nothing(
    desk: Desk, manager: TransactionManager
) -> None:
    transaction = begun(manager)
    transaction.execute(Statement(INSERT, (1,)))
    transaction.rollback()
    transaction.rollback()

    assert desk.rows("select v from t") == []
    assert desk.log.last_offset == 2


@pytest.mark.parametrize(
    ("end", "told"), [("commit", "was committed"), ("rollback", "was rolled back")]
)
def test_how_it_ended_is_told_from_the_moment_of_its_answer(
    manager: TransactionManager, monkeypatch: pytest.MonkeyPatch, end: str, told: str
) -> None:
    transaction, close = begun(manager), InteractiveTransaction.close
    asked = threading.Event()

    def closes_late(held: InteractiveTransaction, error: NexusError) -> None:
        asked.wait(PATIENCE_S)
        close(held, error)

    monkeypatch.setattr(InteractiveTransaction, "close", closes_late)
    getattr(transaction, end)()

    with pytest.raises(TransactionExpiredError, match=told):
        transaction.execute(Statement("select 1"))
    asked.set()


def test_an_error_takes_back_its_statement_and_leaves_the_transaction_open(
    desk: Desk, manager: TransactionManager
) -> None:
    transaction = begun(manager)
    transaction.execute(Statement(INSERT, (1,)))
    with pytest.raises(ConstraintError):
        transaction.execute(Statement(INSERT, (1,)))
    with pytest.raises(StatementError, match="no such table"):
        transaction.execute(Statement("insert into missing values (1)"))
    transaction.execute(Statement(INSERT, (2,)))
    transaction.commit()

    assert desk.rows("select v from t") == [(1,), (2,)]


def test_a_statement_whose_answer_is_no_text_is_taken_back_and_the_rest_stays(
    desk: Desk, manager: TransactionManager
) -> None:
    transaction = begun(manager)
    transaction.execute(Statement(INSERT, (1,)))
    for statement in (
        "insert into t(v) values (cast(x'ff' as text)), (8) returning v, id",
        "update t set v = cast(x'ff' as text) returning v",
        "replace into t values (1, 2) returning cast(x'ff' as text)",
        "delete from t returning cast(x'ff' as text)",
        "insert or fail into t(v) values (9) returning cast(x'ff' as text)",
    ):
        with pytest.raises(StatementError, match="read it as bytes, with CAST"):
            transaction.execute(Statement(statement))
    kept = "insert into t(v) values (cast(x'fe' as text)) returning hex(v)"
    assert transaction.execute(Statement(kept)).rows == [("FE",)]
    transaction.commit()

    assert desk.rows("select hex(v) from t") == [("31",), ("FE",)]
    assert len(desk.entries()) == 3


def test_a_batch_loses_only_the_transaction_whose_answer_is_no_text(
    desk: Desk, manager: TransactionManager
) -> None:
    with pytest.raises(StatementError, match="with CAST"):
        manager.execute_blocking(
            wanted(
                (INSERT, (1,)),
                "insert into t(v) values (cast(x'ff' as text)), (3) returning v",
            )
        )
    bad = Statement(
        "insert into t(v) values (cast(? as text)) returning v",
        many=[(b"a",), (b"b\xff",), (b"c",)],
    )
    with pytest.raises(StatementError, match="with CAST"):
        manager.execute_blocking(Transaction((bad,)))
    manager.execute_blocking(wanted((INSERT, (2,))))

    assert desk.rows("select v from t") == [(2,)]


def test_or_fail_keeps_the_rows_before_the_one_that_failed_with_returning_too(
    desk: Desk, manager: TransactionManager
) -> None:
    transaction = begun(manager)
    with pytest.raises(ConstraintError):
        transaction.execute(
            Statement("insert or fail into t(v) values (1), (1) returning v")
        )
    transaction.commit()

    assert desk.rows("select v from t") == [(1,)]


def test_a_statement_that_rolls_everything_back_ends_the_transaction(
    desk: Desk, manager: TransactionManager
) -> None:
    manager.execute_blocking(wanted((INSERT, (1,))))
    transaction = begun(manager)
    transaction.execute(Statement(INSERT, (2,)))
    with pytest.raises(ConstraintError):
        transaction.execute(Statement("insert or rollback into t(v) values (1)"))
    with pytest.raises(TransactionExpiredError):
        transaction.commit()

    manager.execute_blocking(wanted((INSERT, (3,))))
    assert desk.rows("select v from t") == [(1,), (3,)]


def test_an_open_foreign_key_refuses_the_commit_and_keeps_nothing(
    desk: Desk, manager: TransactionManager
) -> None:
    manager.execute_blocking(
        wanted(
            "create table parent(id integer primary key)",
            "create table child(p references parent deferrable initially deferred)",
        )
    )
    transaction = begun(manager)
    transaction.execute(Statement("insert into child values (7)"))
    with pytest.raises(ConstraintError, match="FOREIGN KEY"):
        transaction.commit()

    assert desk.rows("select * from child") == []
    manager.execute_blocking(wanted((INSERT, (1,))))


def test_without_foreign_keys_orphans_are_kept_and_the_next_is_checked_again(
    desk: Desk, manager: TransactionManager
) -> None:
    manager.execute_blocking(
        wanted(
            "create table parent(id integer primary key)",
            "create table child(p references parent)",
        )
    )
    loose = begun(manager, foreign_keys=False)
    loose.execute(Statement("insert into child values (7)"))
    loose.commit()

    strict = begun(manager)
    with pytest.raises(ConstraintError):
        strict.execute(Statement("insert into child values (8)"))
    strict.rollback()
    assert desk.rows("select * from child") == [(7,)]


def test_who_idles_too_long_loses_the_transaction_and_is_told(
    desk: Desk, manager: TransactionManager
) -> None:
    transaction = begun(manager, idle_limit_s=0.5)
    with suppress(TransactionExpiredError):  # where this thread was held up for so long
        transaction.execute(Statement(INSERT, (1,)))
    manager.execute_blocking(wanted((INSERT, (2,))))  # waits for the idle limit

    with pytest.raises(TransactionExpiredError):
        transaction.execute(Statement(INSERT, (3,)))
    with pytest.raises(TransactionExpiredError):
        transaction.commit()
    assert desk.rows("select v from t") == [(2,)]


def test_two_at_once_take_turns_and_neither_sees_half_of_the_other(
    desk: Desk, manager: TransactionManager
) -> None:
    def transfer(number: int) -> int:
        transaction = begun(manager)
        before = transaction.execute(Statement("select count(*) from t")).rows[0][0]
        for part in range(3):
            transaction.execute(Statement(INSERT, (f"{number}.{part}",)))
        transaction.commit()
        seen: int = before
        return seen

    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(transfer, range(8)))

    assert sorted(seen) == [0, 3, 6, 9, 12, 15, 18, 21]
    assert desk.rows("select count(*) from t") == [(24,)]


def test_an_interactive_transaction_may_carry_an_idempotency_id(
    desk: Desk, manager: TransactionManager
) -> None:
    transaction = begun(manager, transaction_id="cart-1")
    transaction.execute(Statement(INSERT, (1,)))
    transaction.commit()

    assert desk.entries()[-1].transaction_id == "cart-1"
    assert desk.database.answer_of("cart-1") is not None


def test_a_transaction_that_grows_too_large_is_told_so(
    desk: Desk, manager: TransactionManager
) -> None:
    transaction = begun(manager)
    with pytest.raises(TransactionTooLargeError):
        transaction.execute(Statement(INSERT, (bytes(2 * LIMIT_BYTES),)))
    transaction.rollback()
    manager.execute_blocking(wanted((INSERT, (1,))))
    assert desk.rows("select v from t") == [(1,)]


def test_a_writer_that_cannot_begin_tells_who_waits_for_it(
    desk: Desk, manager: TransactionManager
) -> None:
    elsewhere(desk.database.path, "insert into t(v) values ('foreign')")
    with pytest.raises(WritesStoppedError, match="somebody other"):
        begun(manager)

    assert desk.failed.wait(PATIENCE_S)


@pytest.mark.parametrize("method", ["execute", "finish"])
@pytest.mark.interpreted
def test_a_fault_of_ours_reaches_the_client_and_stops_the_writer(
    desk: Desk,
    manager: TransactionManager,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a fault of ours")

    transaction = begun(manager)
    transaction.execute(Statement(INSERT, (1,)))
    calls = {
        "execute": lambda: transaction.execute(Statement(INSERT, (2,))),
        "finish": transaction.commit,
    }
    monkeypatch.setattr(manager._writer.capture, method, broken)
    with pytest.raises(WritesStoppedError, match="nothing of this transaction"):
        calls[method]()

    assert desk.failed.wait(PATIENCE_S)
    assert desk.rows("select v from t") == []
    with pytest.raises(NexusError):
        transaction.commit()


def test_a_stop_lets_the_open_transaction_end_first(
    desk: Desk, manager: TransactionManager
) -> None:
    transaction = begun(manager)
    transaction.execute(Statement(INSERT, (1,)))
    stopping = threading.Thread(target=manager.stop)
    stopping.start()
    transaction.commit()
    stopping.join(PATIENCE_S)

    assert not stopping.is_alive()
    assert desk.rows("select v from t") == [(1,)]


def test_a_stop_takes_back_an_open_transaction_whose_client_is_silent(
    desk: Desk, manager: TransactionManager
) -> None:
    transaction = begun(manager, idle_limit_s=1_000.0)
    transaction.execute(Statement(INSERT, (1,)))
    stopping = threading.Thread(target=manager.stop)
    stopping.start()
    stopping.join(PATIENCE_S)

    assert not stopping.is_alive()
    with pytest.raises(NodeStoppedError, match="taken back"):
        transaction.commit()
    assert desk.rows("select v from t") == []


def test_a_stop_takes_back_an_open_transaction_that_goes_on_and_on(
    desk: Desk, manager: TransactionManager
) -> None:
    transaction = begun(manager)
    transaction.execute(Statement(INSERT, (1,)))
    stopping = threading.Thread(target=manager.stop)
    stopping.start()
    with pytest.raises(NodeStoppedError, match="taken back"):
        go_on(transaction)
    stopping.join(PATIENCE_S)

    assert not stopping.is_alive()
    assert desk.rows("select v from t") == []


def go_on(transaction: InteractiveTransaction) -> None:
    while True:
        transaction.execute(Statement("select v from t"))


def test_the_idle_limit_holds_from_the_beginning(manager: TransactionManager) -> None:
    transaction = begun(manager, idle_limit_s=0.01)
    manager.execute_blocking(wanted((INSERT, (2,))))  # waits for the idle limit

    with pytest.raises(TransactionExpiredError, match=r"for more than 0\.01 s"):
        transaction.commit()


async def test_a_task_holds_no_thread_while_it_waits(
    manager: TransactionManager,
) -> None:
    transaction = await manager.begin(Interactive(PATIENCE_S))
    waiting = asyncio.create_task(manager.begin(Interactive(PATIENCE_S)))
    assert (await transaction.ask(Statement(INSERT, (1,)))).rows_affected == 1
    with pytest.raises(ConstraintError):
        await transaction.ask(Statement(INSERT, (1,)))
    answer = await transaction.ask_commit()

    second = await waiting
    assert (await second.ask(Statement("select v from t"))).rows == [(1,)]
    second.give_up()
    second.give_up()
    assert answer.position is not None
    with pytest.raises(TransactionExpiredError, match="rolled back"):
        await second.ask_commit()


async def test_who_is_cancelled_while_it_waits_gives_its_turn_back(
    desk: Desk, manager: TransactionManager
) -> None:
    first = await manager.begin(Interactive(PATIENCE_S))
    waiting = asyncio.create_task(manager.begin(Interactive(1_000.0)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await first.ask_commit()

    await manager.execute(wanted((INSERT, (1,))))
    assert desk.rows("select v from t") == [(1,)]


async def test_rows_beyond_the_limit_of_an_answer_leave_the_transaction_open(
    desk: Desk, manager: TransactionManager
) -> None:
    transaction = await manager.begin(Interactive(PATIENCE_S))
    endless = (
        "with recursive n(i) as (select 1 union all select i + 1 from n) "
        "select i, 'text' from n"
    )
    with pytest.raises(AnswerTooLargeError, match="more than 1000 bytes"):
        await transaction.ask(Statement(endless, most_bytes=1_000))
    inserted = Statement(f"{INSERT} returning v", ("x" * 2_000,), most_bytes=1_000)
    assert (await transaction.ask(inserted)).rows == [("x" * 2_000,)]
    await transaction.ask_commit()

    assert desk.rows("select count(*) from t") == [(1,)]
