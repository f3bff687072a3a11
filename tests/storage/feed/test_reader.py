"""Entries as changes; that they are all of them is the random workload's to prove."""

from typing import Any

import pytest

from nexus.errors import StorageError
from nexus.model.change import Change, TableShape
from nexus.model.operation import Fingerprint, Reigned
from nexus.model.position import Epoch, HistoryId, Offset, Reign
from nexus.storage.feed.reader import EntryReader
from storage.pair import HISTORY, Pair


def read(pair: Pair, *tables: str, from_index: int = 0) -> list[Change]:
    """All changes of the log but for those of the first entry, from a replica."""
    pair.apply()
    reader = EntryReader(pair.replica, HISTORY, frozenset(tables))
    return [
        change
        for record in pair.records
        for change in reader.changes(record, from_index)
    ]


def told(change: Change) -> tuple[Any, ...]:
    return change.op, change.table, change.key, change.old, change.new


def test_a_row_has_its_key_and_what_changed_by_name(pair: Pair) -> None:
    pair.write("create table t(id integer primary key, a, b)")
    pair.write("insert into t values (1, 'x', x'00ff')")
    pair.write("update t set a = null")
    pair.write("delete from t")

    changes = read(pair)[1:]

    assert list(map(told, changes)) == [
        ("insert", "t", {"id": 1}, None, {"id": 1, "a": "x", "b": b"\0\xff"}),
        ("update", "t", {"id": 1}, {"a": "x"}, {"a": None}),
        ("delete", "t", {"id": 1}, {"id": 1, "a": None, "b": b"\0\xff"}, None),
    ]


def test_an_old_entry_has_the_names_of_its_time(pair: Pair) -> None:
    pair.write("create table t(a primary key not null, b)")
    pair.write("insert into t values (1, 2)")
    pair.write("alter table t rename b to c", "update t set c = 3")
    pair.write("alter table t rename to u", "alter table u drop c")
    pair.write("drop table u", "create table u(z integer primary key)")
    pair.write("insert into u values (9)")

    changes = read(pair)

    assert [change.new for change in changes if change.op != "schema"] == [
        {"a": 1, "b": 2},
        {"c": 3},
        {"z": 9},
    ]
    schema = [change for change in changes if change.op == "schema"]
    assert [change.tables for change in schema] == [
        {"t": TableShape(("a", "b"), ("a",))},
        {"t": TableShape(("a", "c"), ("a",))},
        {"t": None, "u": TableShape(("a", "c"), ("a",))},
        {"u": TableShape(("a",), ("a",))},
        {"u": None},
        {"u": TableShape(("z",), ("z",))},
    ]
    assert schema[4].sql == "drop table u"


def test_triggers_and_cascades_are_rows_of_their_own(pair: Pair) -> None:
    pair.write(
        "create table p(id integer primary key)",
        "create table c(id integer primary key, p references p on delete cascade)",
        "create table log(what)",
        "create trigger gone after delete on c begin "
        "insert into log values ('gone ' || old.id); end",
        "insert into p values (1)",
        "insert into c values (5, 1)",
    )
    pair.write("delete from p")

    last = [change for change in read(pair) if change.offset == 3]

    assert sorted((change.op, change.table) for change in last) == [
        ("delete", "c"),
        ("delete", "p"),
        ("insert", "log"),
    ]
    (logged,) = (change for change in last if change.table == "log")
    assert logged.key == {"_rowid_": 1}
    assert logged.new == {"_rowid_": 1, "what": "gone 5"}


def test_counters_and_settings_are_changes_too(pair: Pair) -> None:
    pair.write("create table t(id integer primary key autoincrement)")
    pair.write("insert into t values (7)", "pragma user_version = 3")

    pragma, insert, sequence = [c for c in read(pair) if c.offset == 3]

    assert insert.op == "insert"
    assert (pragma.op, pragma.name, pragma.old, pragma.new) == (
        "pragma",
        "user_version",
        0,
        3,
    )
    assert told(sequence) == ("sequence", "t", None, None, 7)


def test_ids_count_within_a_transaction_and_its_last_is_the_entrys(pair: Pair) -> None:
    pair.write("create table t(id integer primary key)")
    pair.write("insert into t values (1)", "pragma user_version = 4")

    one, two = [change for change in read(pair) if change.offset == 3]

    assert (one.op, two.op) == ("pragma", "insert")
    assert (one.id, one.index, one.last) == (f"1:3@{HISTORY}/0", 0, False)
    assert (two.id, two.index, two.last) == (f"1:3@{HISTORY}", 1, True)


def test_a_filter_shows_its_tables_and_the_schema_with_their_own_places(
    pair: Pair,
) -> None:
    pair.write("create table a(x integer primary key)", "create table B(x primary key)")
    pair.write(
        "insert into a values (1), (2)",
        "insert into B values ('b')",
        "pragma user_version = 5",
        "insert into a values (3)",
    )
    pair.write("insert into a values (4)")

    changes = read(pair, "b")

    assert [(c.op, c.offset, c.last) for c in changes] == [
        ("schema", 2, False),
        ("schema", 2, True),
        ("pragma", 3, False),
        ("insert", 3, True),
    ]
    everything = {(c.offset, c.index): c for c in read(pair)}
    assert all(everything[c.offset, c.index].op == c.op for c in changes)


def test_reading_goes_on_within_a_transaction(pair: Pair) -> None:
    pair.write("create table t(id integer primary key)")
    pair.write("insert into t values (1), (2), (3)")

    whole = [change for change in read(pair) if change.offset == 3]

    assert [c for c in read(pair, from_index=1) if c.offset == 3] == whole[1:]


def test_a_new_reign_names_the_places_after_it(pair: Pair) -> None:
    pair.write("create table t(id integer primary key)")
    reign = Reign(Epoch(1), HistoryId("new"), "b", Offset(3), 0, "force")
    pair.master.begin()
    pair.master.keep_own(Reigned(reign), reign.first_offset)
    pair.log(Reigned(reign))
    pair.log(Fingerprint("f"))
    pair.master.rollback()

    reader = EntryReader(pair.master, HISTORY, frozenset())
    shown = [change for record in pair.records for change in reader.changes(record)]

    assert [change.op for change in shown] == ["schema"]
    assert str(reader.place(pair.records[3])) == "1:4@new"


def test_an_entry_of_unknown_columns_ends_the_reading(pair: Pair) -> None:
    pair.write("create table t(id integer primary key)")
    pair.write("insert into t values (1)")
    pair.apply()
    pair.replica.writer.execute("update nexus_columns set name = 'other'")

    with pytest.raises(StorageError, match="entry 3 changes table t of 1 columns"):
        read(pair)
