"""A log is read from any entry that it holds to its end."""

from pathlib import Path

import pytest

from nexus.errors import LogGapError
from nexus.model.entry import Record
from nexus.model.position import Epoch, Offset
from nexus.node import logreading
from nexus.node.logreading import records_from
from nexus.storage.wal import WalSettings, WriteAheadLog


@pytest.fixture
def log(tmp_path: Path) -> WriteAheadLog:
    """A log whose first entry is the third of its history."""
    found = WriteAheadLog.open(tmp_path, WalSettings())
    found.reset(Offset(2))
    found.append([record(offset) for offset in (3, 4, 5)])
    found.sync()
    return found


def record(offset: int) -> Record:
    return Record(Epoch(1), Offset(offset), b"entry %d" % offset)


def test_all_from_an_entry_on_is_read_in_order(
    log: WriteAheadLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logreading, "READ_BYTES", 1)

    assert list(records_from(log, Offset(4))) == [record(4), record(5)]


def test_behind_the_end_there_is_nothing(log: WriteAheadLog) -> None:
    assert not list(records_from(log, Offset(6)))


def test_what_is_appended_meanwhile_is_read_too(log: WriteAheadLog) -> None:
    reading = records_from(log, Offset(5))
    assert next(reading) == record(5)

    log.append([record(6)])

    assert next(reading) == record(6)


def test_what_the_log_does_not_hold_any_more_is_a_gap(log: WriteAheadLog) -> None:
    with pytest.raises(LogGapError):
        next(records_from(log, Offset(2)))
