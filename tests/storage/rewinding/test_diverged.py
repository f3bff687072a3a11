"""What was taken back: kept as rows that a person can read, and as whole copies."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

import msgspec
import pytest

from nexus.errors import DiskFullError, NotFoundError, StorageError
from nexus.model.position import Epoch, EpochHistory, Offset, Reign
from nexus.storage.rewinding.diverged import COPIES_KEPT, DivergedStore, Divergence
from storage.logs import file_size_limit
from storage.pair import HISTORY, Pair
from storage.snapshotting import contents, fill, generation_of, only_reading, opened

REIGNS = EpochHistory((Reign(Epoch(1), HISTORY, "master", Offset(1), 0, "start"),))


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    (tmp_path / "pair").mkdir()
    with Pair(tmp_path / "pair") as pair:
        yield pair


@pytest.fixture
def store(tmp_path: Path) -> DivergedStore:
    (tmp_path / "diverged").mkdir()
    return DivergedStore(tmp_path / "diverged")


def exported(
    store: DivergedStore, pair: Pair, *, after: int, end: int = 0
) -> Divergence:
    """Keep what the pair's log holds behind an offset."""
    last = REIGNS.position_at(Offset(end or len(pair.records)))
    return store.export(
        pair.records[after:], REIGNS, after=Offset(after), last=last, reason="a test"
    )


def row_of(store: DivergedStore, pair: Pair) -> dict[str, Any]:
    """The one row of the log's last entry."""
    found = exported(store, pair, after=len(pair.records) - 1)
    (row,) = store.rows(found.id)
    return row


def test_the_same_entries_are_kept_once_and_others_beside_them(
    store: DivergedStore, pair: Pair
) -> None:
    pair.write("create table t(id integer primary key)")
    first = exported(store, pair, after=1)

    assert exported(store, pair, after=1) == first
    pair.write("insert into t values (1)")
    second = exported(store, pair, after=1)

    assert store.list() == [first, second]
    assert (first.entries, second.entries) == (1, 2)


def test_each_change_is_one_row_with_its_position(
    store: DivergedStore, pair: Pair
) -> None:
    pair.write("create table t(id integer primary key, name, extra)")
    pair.write("insert into t values (1, 'a', null), (2, 'b', 2.5)")
    pair.write("update t set name = 'c' where id = 1")
    pair.write("delete from t where id = 2")

    found = exported(store, pair, after=2)

    assert (found.after_offset, found.entries, found.reason) == (2, 3, "a test")
    kept = list(store.rows(found.id))
    expected = [
        ("1:3@11aa22bb", "insert", [1], None, [1, "a", None]),
        ("1:3@11aa22bb", "insert", [2], None, [2, "b", 2.5]),
        ("1:4@11aa22bb", "update", [1], [1, "a", {}], [{}, "c", {}]),
        ("1:5@11aa22bb", "delete", [2], [2, "b", 2.5], None),
    ]
    assert [
        (row["position"], row["op"], row["key"], row["old"], row["new"]) for row in kept
    ] == expected
    assert {row["table"] for row in kept} == {"t"}


def test_what_is_no_row_is_kept_too(store: DivergedStore, pair: Pair) -> None:
    pair.write("create table t(id integer primary key)")

    row = row_of(store, pair)

    assert row["position"] == "1:2@11aa22bb"
    assert "create table t" in str(row["detail"])


@pytest.mark.parametrize(
    ("literal", "kept"),
    [
        ("x'00ff'", {"$blob": "AP8="}),
        ("x''", {"$blob": ""}),
        ("9e999", {"$real": "inf"}),
        ("-9e999", {"$real": "-inf"}),
        ("9223372036854775807", (1 << 63) - 1),
        ("0.1", 0.1),
        ("'é\U0001f600'", "é\U0001f600"),
        ("null", None),
    ],
)
def test_every_kind_of_value_is_kept_as_json(
    store: DivergedStore, pair: Pair, literal: str, kept: object
) -> None:
    pair.write("create table t(id integer primary key, value any) strict")
    pair.write(f"insert into t values (1, {literal})")

    assert row_of(store, pair)["new"] == [1, kept]


def test_text_that_is_no_unicode_is_kept_as_the_whole_changeset(
    store: DivergedStore, pair: Pair
) -> None:
    pair.write("create table t(id integer primary key, value)")
    pair.write("insert into t values (1, cast(x'ff41' as text))")

    row = row_of(store, pair)

    assert (row["op"], row["table"]) == ("insert", "t")
    assert set(row["changeset"]) == {"$blob"}


def test_every_line_is_json_by_itself(
    store: DivergedStore, pair: Pair, tmp_path: Path
) -> None:
    pair.write("create table t(id integer primary key, value)")
    pair.write("insert into t values (1, 'two' || char(10) || 'lines'), (2, 9e999)")
    found = exported(store, pair, after=0)

    lines = (tmp_path / "diverged" / f"{found.id}.jsonl").read_bytes().splitlines()

    assert [msgspec.json.decode(line) for line in lines] == list(store.rows(found.id))


def test_all_are_listed_oldest_first_after_a_restart_too(
    store: DivergedStore, pair: Pair, tmp_path: Path
) -> None:
    made = [exported(store, pair, after=0, end=end) for end in range(1, 5)]

    assert store.list() == made
    assert DivergedStore(tmp_path / "diverged").list() == made


def test_an_unknown_divergence_is_not_found(store: DivergedStore) -> None:
    for name in ("none", "../pair/master", ""):
        with pytest.raises(NotFoundError, match="no divergence"):
            store.rows(name)


def test_a_full_disk_keeps_nothing_half_and_lists_nothing(
    store: DivergedStore, pair: Pair, tmp_path: Path
) -> None:
    pair.write("create table t(id integer primary key, value)")
    pair.write("insert into t values (1, hex(zeroblob(100000)))")

    with file_size_limit(1000), pytest.raises(DiskFullError, match="diverged entries"):
        exported(store, pair, after=0)

    assert store.list() == []
    assert contents(tmp_path / "diverged") == []


def test_a_whole_copy_is_kept_beside_the_rows(
    store: DivergedStore, pair: Pair, tmp_path: Path
) -> None:
    found = exported(store, pair, after=0)
    with opened(tmp_path / "nexus.db") as database:
        fill(database, generation=3)
        copy = store.keep_copy(database.path, found)
        fill(database, generation=4)

    assert copy.name == f"{found.id}.db"
    assert store.copies() == (copy,)
    with closing(only_reading(copy)) as connection:
        assert generation_of(connection) == 3


def test_only_the_newest_copies_stay_and_all_rows_do(
    store: DivergedStore, pair: Pair, tmp_path: Path
) -> None:
    copies = []
    with opened(tmp_path / "nexus.db") as database:
        fill(database, generation=1)
        for number in range(COPIES_KEPT + 2):
            found = exported(store, pair, after=0, end=number + 1)
            copy = store.keep_copy(database.path, found)
            os.utime(copy, (number, number))
            copies.append(copy)

    assert store.copies() == tuple(copies[-COPIES_KEPT:])
    told = [found.copy for found in store.list()]
    assert sorted(told) == ["", "", *sorted(copy.name for copy in store.copies())]


def test_a_copy_that_is_kept_already_is_not_made_again(
    store: DivergedStore, pair: Pair, tmp_path: Path
) -> None:
    found = exported(store, pair, after=0)
    with opened(tmp_path / "nexus.db") as database:
        fill(database, generation=3)
        copy = store.keep_copy(database.path, found)
        fill(database, generation=4)

        assert store.keep_copy(database.path, found) == copy

    with closing(only_reading(copy)) as connection:
        assert generation_of(connection) == 3


def test_a_copy_that_finds_no_room_leaves_nothing_and_drops_no_other(
    store: DivergedStore, pair: Pair, tmp_path: Path
) -> None:
    found = exported(store, pair, after=0)
    with opened(tmp_path / "nexus.db") as database:
        fill(database, generation=1, rows=2000)
        first = store.keep_copy(database.path, found)
        other = exported(store, pair, after=0, end=9)
        with file_size_limit(100_000), pytest.raises(StorageError):
            store.keep_copy(database.path, other)

    assert store.copies() == (first,)
    assert not list((tmp_path / "diverged").glob("*.part"))


CRASHER = dedent(
    """
    import os, sys
    from pathlib import Path
    from nexus.model.position import Epoch, EpochHistory, Offset, Position
    from nexus.storage.rewinding.diverged import DivergedStore

    def die(*_):
        os._exit(9)

    store = DivergedStore(Path(sys.argv[1]))
    whole, half = (Position(Epoch(1), Offset(end)) for end in (1, 2))
    told = {"after": Offset(0), "reason": "a test"}
    found = store.export([], EpochHistory(), last=whole, **told)
    if sys.argv[2] == "rows":
        Path.rename = die
        store.export([], EpochHistory(), last=half, **told)
    Path.rename = die
    store.keep_copy(Path(sys.argv[3]), found)
    """
)


@pytest.mark.parametrize("kind", ["rows", "copy"])
def test_what_a_crash_left_half_made_is_removed_at_the_next_start(
    store: DivergedStore, tmp_path: Path, kind: str
) -> None:
    directory, database_path = tmp_path / "diverged", tmp_path / "nexus.db"
    with opened(database_path) as database:
        fill(database, generation=1)
    ended = subprocess.run(
        [sys.executable, "-c", CRASHER, str(directory), kind, str(database_path)],
        check=False,
    )
    assert ended.returncode == 9
    assert list(directory.glob("*.part"))

    (found,) = DivergedStore(directory).list()

    assert found.last == "1:1@"
    assert contents(directory) == [f"{found.id}.json", f"{found.id}.jsonl"]
    assert store.list() == [found]
