"""Reading on from a place, in pieces."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.errors import LogGapError
from nexus.model.change import Change, Place
from nexus.model.position import Offset
from nexus.storage.feed.cursor import PIECE_BYTES, FeedCursor
from nexus.storage.feed.reader import EntryReader
from nexus.storage.wal import WriteAheadLog
from storage.logs import ROOMY
from storage.pair import HISTORY, Pair

MANY = 1 << 40


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Pair(tmp_path) as pair:
        pair.write("create table t(id integer primary key, v)")
        yield pair


@pytest.fixture
def log(tmp_path: Path) -> Iterator[WriteAheadLog]:
    log = WriteAheadLog.open(tmp_path / "wal", ROOMY)
    yield log
    log.close()


def cursor(
    pair: Pair, log: WriteAheadLog, since: str = "0", *tables: str
) -> FeedCursor:
    """Over all that the pair has written."""
    pair.apply()
    log.append(pair.records[log.last_offset :])
    log.sync()
    reader = EntryReader(pair.replica, HISTORY, frozenset(tables))
    return FeedCursor(log, reader, Place.parse(since))


def told(change: Change) -> bytes:
    return b"%d/%d " % (change.offset, change.index)


def read(cursor: FeedCursor, stop: int = 1 << 40, most: int = MANY) -> str:
    return cursor.read(Offset(stop), told, most)[0].decode()


def test_it_stops_before_an_entry_and_goes_on_there(
    pair: Pair, log: WriteAheadLog
) -> None:
    for number in range(3):
        pair.write(f"insert into t values ({number}, 0)")
    at = cursor(pair, log)

    assert read(at, stop=4) == "2/0 3/0 "
    assert (at.next_offset, at.at) == (4, f"1:3@{HISTORY}")
    assert read(at, stop=4) == ""
    assert read(at) == "4/0 5/0 "
    assert at.next_offset == 6


def test_it_stops_within_a_transaction_and_goes_on_there(
    pair: Pair, log: WriteAheadLog
) -> None:
    pair.write("insert into t values (1, 0), (2, 0), (3, 0)")
    at = cursor(pair, log)

    assert read(at, most=3) == "2/0 3/0 3/1 "
    assert (at.next_offset, at.at) == (3, f"1:3@{HISTORY}/1")
    again = cursor(pair, log, at.at)
    assert read(at) == read(again) == "3/2 "
    assert at.at == again.at == f"1:3@{HISTORY}"


def test_entries_that_show_nothing_are_passed_over(
    pair: Pair, log: WriteAheadLog
) -> None:
    pair.write("insert into t values (1, 0)")
    at = cursor(pair, log, "2", "other")

    assert read(at) == ""
    assert (at.next_offset, at.at) == (4, f"1:3@{HISTORY}")


def test_a_piece_ends_once_it_is_large_enough(pair: Pair, log: WriteAheadLog) -> None:
    for number in range(4):
        pair.write(f"insert into t values ({number}, 0)")
    at = cursor(pair, log, "2")

    def large(_: Change) -> bytes:
        return b"x" * (PIECE_BYTES // 2)

    assert at.read(Offset(MANY), large, MANY)[1] == 2
    assert at.read(Offset(MANY), large, MANY)[1] == 2
    assert at.read(Offset(MANY), large, MANY)[1] == 0


def test_what_has_been_read_and_taken_back_is_a_gap(
    pair: Pair, log: WriteAheadLog
) -> None:
    pair.write("insert into t values (1, 0)")
    at = cursor(pair, log)
    assert read(at) == "2/0 3/0 "

    log.truncate_after(Offset(2))

    with pytest.raises(LogGapError):
        read(at)


def test_an_entry_that_the_log_does_not_hold_is_a_gap(
    pair: Pair, log: WriteAheadLog
) -> None:
    with pytest.raises(LogGapError):
        cursor(pair, log, "9")
