"""States of the database that clients go on reading."""

import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from nexus.errors import DatabaseBusyError, NoDatabaseError, NodeStoppedError
from nexus.node.reading.views import Views
from nexus.storage.capturing.results import Statement
from nexus.storage.database import Database
from node.builders import PATIENCE_S, Desk, wanted


@pytest.fixture
def views(desk: Desk) -> Iterator[Views]:
    with desk.manager() as manager:
        manager.execute_blocking(wanted("create table t(v)"))
        views = Views(desk.database, most=2)
        yield views
        views.close()


def test_no_more_are_open_than_agreed(views: Views) -> None:
    first = views.open()
    views.open()
    with pytest.raises(DatabaseBusyError, match="2 clients read"):
        views.open()
    views.give_up(first)
    views.give_up(first)

    assert views.open().query(Statement("select * from t")).rows == []


def test_after_the_close_nothing_is_read(views: Views) -> None:
    view = views.open()
    assert view.offset == 2
    views.close()

    for call in (
        lambda: view.query(Statement("select 1")),
        lambda: view.open(Statement("select 1")),
        view.next_rows,
        views.open,
    ):
        with pytest.raises(NodeStoppedError, match="stopping"):
            call()
    view.interrupt()


def test_what_is_interrupted_says_that_the_node_stops(views: Views) -> None:
    view = views.open()
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) "
    view.open(Statement(f"{endless}select i from n"))
    view.next_rows()
    view.interrupt()

    with pytest.raises(NodeStoppedError, match="read on another"):
        view.next_rows()


def test_a_close_ends_a_query_that_was_about_to_begin(
    views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = views.open()
    begins, interrupted = threading.Event(), threading.Event()
    interrupt = view.interrupt
    ended: list[Exception] = []

    def noted() -> None:
        interrupt()
        interrupted.set()

    def about_to_begin() -> None:
        with view._lock:
            begins.set()
            interrupted.wait(PATIENCE_S)
            try:
                view._reader.execute(
                    "with recursive n(i) as (select 1 union all select i + 1 from n) "
                    "select count(*) from n"
                )
            except apsw.InterruptError as error:
                ended.append(error)

    monkeypatch.setattr(view, "interrupt", noted)
    threads = [
        threading.Thread(target=call, daemon=True)
        for call in (about_to_begin, view.close)
    ]
    for thread in threads:
        thread.start()
        assert begins.wait(PATIENCE_S)
    for thread in threads:
        thread.join(PATIENCE_S)

    assert len(ended) == 1
    assert not any(thread.is_alive() for thread in threads)


def test_a_view_that_cannot_be_opened_takes_no_place(tmp_path: Path) -> None:
    views = Views(Database.expect(tmp_path / "none.db"), most=1)

    for _ in range(2):
        with pytest.raises(NoDatabaseError):
            views.open()
