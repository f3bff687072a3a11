"""Entries applied exactly once, in order, on a second database."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus.errors import (
    ApplyConflictError,
    ApplyError,
    SchemaMismatchError,
    StorageError,
)
from nexus.model.entry import Record
from nexus.model.operation import Fingerprint, Pragma
from nexus.model.position import Epoch, Offset
from nexus.storage.apply import LARGE_CHANGESET, Applier
from storage.pair import Pair, content, rows

TABLES = (
    "create table plain(k text primary key, v)",
    "create table keyless(k, v)",
    "create table bare(k text primary key, v) without rowid",
    "create table loose(k text collate nocase primary key, "
    "v unique on conflict replace)",
    "create table made(k integer primary key autoincrement, v, "
    "w generated always as (v || 'x') stored)",
    "create virtual table words using fts5(k, v)",
    "create table seen(k, v)",
    "create trigger tell after insert on plain begin "
    "insert into seen values (new.k, new.v); end",
)

NAMES = ("plain", "keyless", "bare", "loose", "words", "seen")

ANY_TEXT = st.one_of(
    st.binary(max_size=6),
    st.sampled_from([b"a\xff", b"A\xff", b"\xff", b"\xed\xa0\x80", b"a\x00b", b""]),
)

CHANGES = st.sampled_from(
    [
        *(f"insert or replace into {{}} values ({v})" for v in ("?1, ?2", "?2, ?1")),
        "insert or replace into made(v) select ?1 where ?2 is not null",
        "update or replace {} set v = ?2 where k >= ?1",
        "update or replace {} set k = ?1 where v = ?2",
        "update or replace {} set k = upper(k), v = lower(v) where ?1 <> ?2",
        "delete from {} where k between ?1 and ?2",
    ]
)

WRITES = st.lists(
    st.tuples(st.sampled_from(NAMES), CHANGES, ANY_TEXT, ANY_TEXT), max_size=12
)


@settings(max_examples=settings().max_examples * 30 // 100)
@given(WRITES)
def test_text_of_any_bytes_is_replicated_byte_for_byte(
    writes: Sequence[tuple[str, str, bytes, bytes]],
) -> None:
    with TemporaryDirectory() as directory, Pair(Path(directory)) as pair:
        pair.write(*TABLES)
        for table, change, first, second in writes:
            sql = change.format(table)
            for place in ("?1", "?2"):
                sql = sql.replace(place, f"cast({place} as text)")
            pair.write((sql, (first, second)))

        pair.apply()

        assert content(pair.replica) == content(pair.master)
        for table in (*NAMES, "made"):
            exact = (
                f"select typeof(k), cast(k as blob), typeof(v), cast(v as blob) "
                f"from {table} order by 2, 4"
            )
            assert rows(pair.replica, exact) == rows(pair.master, exact)


def test_entries_that_are_applied_already_are_passed_over(tmp_path: Path) -> None:
    with Pair(tmp_path) as pair:
        pair.write("create table t(id integer primary key)")
        pair.write("insert into t values (1)")
        pair.apply(pair.records[:2])
        pair.apply(pair.records[:2])
        pair.apply(pair.records[1:])
        pair.restart_replica()

        assert pair.apply() == pair.master.position
        assert rows(pair.replica, "select id from t") == [(1,)]


def test_a_gap_before_the_entries_or_between_them_applies_nothing_after_it(
    tmp_path: Path,
) -> None:
    with Pair(tmp_path) as pair:
        pair.write("create table t(id integer primary key)")
        pair.write("insert into t values (1)")
        first, second, third = pair.records

        with pytest.raises(ApplyError, match=r"entry 2 cannot follow entry 0: .*miss"):
            pair.apply([second, third])
        with pytest.raises(ApplyError, match=r"entry 3 stands where entry 2 belongs"):
            pair.apply([first, third])

        assert pair.replica.position.offset == 1


def test_a_payload_that_means_nothing_is_told_and_those_before_it_are_applied(
    tmp_path: Path,
) -> None:
    with Pair(tmp_path) as pair:
        pair.records.append(Record(Epoch(1), Offset(2), b"\xc1"))

        with pytest.raises(ApplyError, match=r"entry 2 says nothing .*upgrade"):
            pair.apply()

        assert pair.replica.position.offset == 1


def test_an_entry_that_does_not_fit_is_told_with_table_and_key_and_is_not_applied(
    tmp_path: Path,
) -> None:
    with Pair(tmp_path) as pair:
        pair.write(
            "create table a(id integer primary key autoincrement, v)",
            "create table b(k text primary key)",
            "insert into b values ('x')",
        )
        pair.write("insert into a(v) values (1)")
        pair.write("insert into a(v) values (2)", "delete from b where k = 'x'")
        pair.write("insert into a(v) values (3)")
        pair.apply(pair.records[:2])
        pair.replica.writer.execute("delete from b")

        with pytest.raises(ApplyConflictError, match="no such row here") as refused:
            pair.apply()

        assert (refused.value.table, refused.value.key) == ("b", "'x'")
        assert pair.replica.position.offset == 3
        assert rows(pair.replica, "select v from a") == [(1,)]
        assert rows(pair.replica, "select seq from sqlite_sequence") == [(1,)]


def test_an_entry_made_under_another_schema_is_not_applied(tmp_path: Path) -> None:
    with Pair(tmp_path) as pair:
        pair.write("create table t(id integer primary key)")
        pair.apply()
        pair.replica.writer.execute("alter table t add column v")
        pair.write("insert into t values (1)")

        with pytest.raises(SchemaMismatchError, match=r"entry 3 .*full sync is needed"):
            pair.apply()

        assert rows(pair.replica, "select count(*) from t") == [(0,)]


def test_a_schema_statement_that_fails_here_takes_its_entry_back(
    tmp_path: Path,
) -> None:
    with Pair(tmp_path) as pair:
        captured = pair.write("pragma user_version = 5", "create table t(x)")
        pair.replica.writer.execute("create view t as select 1")
        last = pair.records.pop()
        pair.log(*captured.operations)
        assert last.offset == pair.records[-1].offset

        with pytest.raises(ApplyError, match=r"entry 2 cannot be applied here: .*t al"):
            pair.apply()

        assert rows(pair.replica, "pragma user_version") == [(0,)]
        assert pair.replica.position.offset == 1


def test_the_apply_stands_right_after_a_mark_and_reports_it(tmp_path: Path) -> None:
    told: list[tuple[str, Offset]] = []
    with Pair(tmp_path) as pair:
        pair.write("create table t(id integer primary key)")
        pair.write("insert into t values (1)")
        pair.log(Fingerprint("one"))
        pair.write("insert into t values (2)")
        applier = Applier(
            pair.replica,
            on_fingerprint=lambda mark, at: told.append((mark.request_id, at)),
        )

        assert applier.apply(pair.records).offset == 4
        assert told == [("one", Offset(4))]
        assert rows(pair.replica, "select id from t") == [(1,)]
        assert applier.apply(pair.records).offset == 5
        assert told == [("one", Offset(4))]


def test_what_is_kept_in_the_file_beside_rows_is_applied(tmp_path: Path) -> None:
    with Pair(tmp_path) as pair:
        pair.log(
            Pragma("user_version", 0, 3), transaction_id="mine", answer=b"the answer"
        )
        pair.log(Pragma("application_id", 0, -7))

        pair.apply()

        assert pair.replica.answer_of("mine") == (Offset(2), b"the answer")
        assert rows(pair.replica, "pragma user_version") == [(3,)]
        assert rows(pair.replica, "pragma application_id") == [(-7,)]
        assert [reign.epoch for reign in pair.replica.history().reigns] == [1]


def test_large_changesets_among_small_ones_are_applied_in_their_places(
    tmp_path: Path,
) -> None:
    with Pair(tmp_path) as pair:
        pair.write("create table t(id integer primary key, v)")
        for size in (1, LARGE_CHANGESET, 1, 2 * LARGE_CHANGESET, 1):
            pair.write(("insert or replace into t values (1, ?)", (bytes(size),)))

        pair.apply()

        assert content(pair.replica) == content(pair.master)


def test_a_fault_of_the_disk_is_no_fault_of_an_entry(tmp_path: Path) -> None:
    with Pair(tmp_path) as pair:
        pair.write("create table t(id integer primary key, v)")
        pair.write(("insert into t values (1, ?)", (bytes(1 << 20),)))
        pages = rows(pair.replica, "pragma page_count")[0][0]
        pair.replica.writer.execute(f"pragma max_page_count = {pages + 10}")

        with pytest.raises(StorageError, match="disk is full") as failed:
            pair.apply()

        assert not isinstance(failed.value, ApplyError)
        assert pair.replica.position.offset == 0
        pair.replica.writer.execute("pragma max_page_count = 4294967294")
        assert pair.apply() == pair.master.position


REBUILT = (
    "create table new(id integer primary key autoincrement, v)",
    "insert into new select id, v from a",
    "drop table a",
    "alter table new rename to a",
)


def test_a_table_that_is_made_anew_keeps_its_counter_on_the_replica(
    tmp_path: Path,
) -> None:
    with Pair(tmp_path) as pair:
        pair.write(
            "create table a(id integer primary key autoincrement, v)",
            "insert into a values (9, 'x'), (2, 'y')",
        )
        pair.write("delete from a where id = 9")
        pair.write(*REBUILT, "update sqlite_sequence set seq = 9 where name = 'a'")
        pair.apply()

        counters = "select name, seq from sqlite_sequence"
        assert rows(pair.replica, counters) == rows(pair.master, counters) == [("a", 9)]


def test_a_table_that_is_made_anew_while_it_is_empty_keeps_its_counter_too(
    tmp_path: Path,
) -> None:
    with Pair(tmp_path) as pair:
        pair.write("create table a(id integer primary key autoincrement, v)", *REBUILT)
        pair.write(*REBUILT)
        pair.apply()

        counters = "select name, seq from sqlite_sequence"
        assert rows(pair.replica, counters) == rows(pair.master, counters) == [("a", 0)]
