"""The connections: how they are set up, lent and closed."""

import threading
from pathlib import Path

import apsw
import pytest

from nexus.errors import AnswerTooLargeError, NodeStoppedError, StorageError
from nexus.storage.sqlite import connections
from nexus.storage.sqlite.connections import (
    ReaderPool,
    fetch,
    open_reader,
    open_writer,
    require_version,
)


def make(path: Path) -> Path:
    """A database with one table."""
    writer = open_writer(path)
    writer.execute("create table t(x); insert into t values (1)")
    writer.close()
    return path


def test_a_writer_s_syncs_reach_the_drive_itself_on_macos_too(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "a.db")

    assert writer.pragma("fullfsync") == 1
    assert writer.pragma("checkpoint_fullfsync") == 1
    writer.close()


def test_readers_are_lent_again_and_never_more_than_agreed(tmp_path: Path) -> None:
    pool = ReaderPool(make(tmp_path / "a.db"), 2)
    waiting = threading.Event()
    lent: list[apsw.Connection] = []

    def borrow() -> None:
        waiting.set()
        with pool.reader() as third:
            lent.append(third)

    with pool.reader() as first, pool.reader() as second:
        assert first is not second
        thread = threading.Thread(target=borrow)
        thread.start()
        waiting.wait(20)
        assert lent == []
    thread.join(20)

    assert lent[0] in (first, second)
    pool.close()


def test_a_closed_pool_refuses_and_frees_those_who_wait(tmp_path: Path) -> None:
    pool = ReaderPool(make(tmp_path / "a.db"), 1)
    told: list[str] = []

    def borrow() -> None:
        try:
            with pool.reader():
                pass
        except NodeStoppedError as error:
            told.append(str(error))

    with pool.reader():
        thread = threading.Thread(target=borrow)
        thread.start()
        pool.close()
    thread.join(20)

    assert told == ["this node is stopping; read on another one"]


def test_closing_ends_a_query_that_is_running(tmp_path: Path) -> None:
    pool = ReaderPool(make(tmp_path / "a.db"), 1)
    running = threading.Event()
    ended: list[Exception] = []

    def count() -> bool:
        running.set()
        return False

    def query() -> None:
        with pool.reader() as reader:
            reader.set_progress_handler(count, 1000)
            try:
                reader.execute(
                    "with recursive n(i) as (select 1 union all select i + 1 from n) "
                    "select count(*) from n"
                )
            except apsw.Error as error:
                ended.append(error)

    thread = threading.Thread(target=query)
    thread.start()
    assert running.wait(20)
    pool.close()
    thread.join(20)

    assert not thread.is_alive()
    assert len(ended) == 1


def test_closing_ends_a_query_that_was_about_to_begin(tmp_path: Path) -> None:
    pool = ReaderPool(make(tmp_path / "a.db"), 1)
    lent, closed = threading.Event(), threading.Event()
    ended: list[Exception] = []

    def query() -> None:
        with pool.reader() as reader:
            lent.set()
            closed.wait(20)
            try:
                reader.execute(
                    "with recursive n(i) as (select 1 union all select i + 1 from n) "
                    "select count(*) from n"
                )
            except apsw.InterruptError as error:
                ended.append(error)

    thread = threading.Thread(target=query, daemon=True)
    thread.start()
    assert lent.wait(20)
    pool.close()
    closed.set()
    thread.join(20)

    assert not thread.is_alive()
    assert len(ended) == 1


def test_a_reader_cannot_write_and_never_checkpoints(tmp_path: Path) -> None:
    reader = open_reader(make(tmp_path / "a.db"))

    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("delete from t")
    assert reader.pragma("wal_autocheckpoint") == 0
    reader.close()


def test_names_of_columns_are_known_without_rows(tmp_path: Path) -> None:
    reader = open_reader(make(tmp_path / "a.db"))

    columns, rows = fetch(reader, "select x as a, 2 as b from t where x = ?", (9,))

    assert ([name for name, _ in columns], rows) == (["a", "b"], [])
    assert fetch(reader, "select x as a from t")[1] == [(1,)]
    reader.close()


def test_the_types_of_columns_are_told_as_their_tables_declare_them(
    tmp_path: Path,
) -> None:
    writer = open_writer(tmp_path / "a.db")
    writer.execute("create table t(a INTEGER, b VARCHAR(9), c)")

    columns, _ = fetch(writer, "select a, b as x, c, a + 1 as d from t")

    assert columns == [("a", "INTEGER"), ("x", "VARCHAR(9)"), ("c", None), ("d", None)]
    writer.close()


def test_rows_beyond_the_limit_are_an_error_and_not_read_to_the_end(
    tmp_path: Path,
) -> None:
    reader = open_reader(make(tmp_path / "a.db"))
    endless = (
        "with recursive n(i) as (select 1 union all select i + 1 from n) "
        "select i, 'text', x'00' from n"
    )

    with pytest.raises(AnswerTooLargeError, match="more than 10000 bytes"):
        fetch(reader, endless, most_bytes=10_000)
    assert len(fetch(reader, f"{endless} limit 200", most_bytes=10_000)[1]) == 200
    reader.close()


def test_a_query_that_failed_half_read_keeps_no_snapshot(tmp_path: Path) -> None:
    reader = open_reader(make(tmp_path / "a.db"))

    with pytest.raises(UnicodeDecodeError) as failed:
        fetch(reader, "select 1 from t union all select cast(x'ff' as text) from t")

    assert failed.value.reason
    assert reader.txn_state("main") == apsw.SQLITE_TXN_NONE
    reader.close()


@pytest.mark.interpreted
def test_an_old_sqlite_is_refused_with_the_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require_version()
    monkeypatch.setattr(connections, "LEAST_SQLITE", apsw.SQLITE_VERSION_NUMBER + 1)

    with pytest.raises(StorageError, match="pip install --upgrade apsw"):
        require_version()


def test_a_database_that_cannot_have_a_log_is_refused() -> None:
    with pytest.raises(StorageError, match="local disk"):
        open_writer(Path(":memory:"))


@pytest.mark.parametrize("where", ["", " where rowid > 9"], ids=["rows", "no rows"])
def test_columns_are_those_of_the_table_as_it_is_now(
    tmp_path: Path, where: str
) -> None:
    writer = apsw.Connection(str(tmp_path / "a.db"))
    writer.execute("create table t(a); insert into t values (1)")
    reader = open_reader(tmp_path / "a.db")
    sql = f"select * from t{where}"
    assert fetch(reader, sql)[0] == [("a", None)]

    writer.execute("alter table t rename column a to b; alter table t add c integer")
    columns, _ = fetch(reader, sql)

    assert columns == [("b", None), ("c", "INTEGER")]
