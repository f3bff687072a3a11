"""Counters that move are noticed, and only those."""

from collections.abc import Iterator

import apsw
import pytest

from nexus.model.operation import Sequence
from nexus.storage.capturing.sequences import SequenceWatch


@pytest.fixture
def writer() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    yield connection
    connection.close()


def test_without_a_table_of_counters_nothing_moves(writer: apsw.Connection) -> None:
    watch = SequenceWatch(writer)
    watch.begin()
    assert watch.moves(schema_changed=False) == []


def test_a_move_is_told_once_with_the_values_before_and_after(
    writer: apsw.Connection,
) -> None:
    writer.execute("create table t(id integer primary key autoincrement)")
    watch = SequenceWatch(writer)
    watch.exist = True
    watch.begin()

    writer.execute("insert into t values (7)")

    assert watch.moves(schema_changed=False) == [Sequence("t", None, 7)]
    assert watch.moves(schema_changed=False) == []


def test_after_forget_the_counters_are_read_anew(writer: apsw.Connection) -> None:
    writer.execute("create table t(id integer primary key autoincrement)")
    watch = SequenceWatch(writer)
    watch.exist = True
    watch.begin()
    writer.execute("insert into t values (7)")

    watch.forget()
    watch.begin()

    assert watch.moves(schema_changed=False) == []


def test_after_schema_statements_every_counter_is_told(
    writer: apsw.Connection,
) -> None:
    writer.execute("create table t(id integer primary key autoincrement)")
    writer.execute("insert into t values (7)")
    watch = SequenceWatch(writer)
    watch.exist = True
    watch.begin()

    assert watch.moves(schema_changed=True) == [Sequence("t", 7, 7)]
