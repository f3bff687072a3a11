"""Hashes of every table at a mark, while readers and writers go on."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import apsw
import pytest

from nexus.errors import NotFoundError, StorageError
from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.node.reading import verification
from nexus.node.reading.verification import (
    KEPT_RESULTS,
    MOST_AT_ONCE,
    Verifications,
)
from nexus.storage.fingerprint import Fingerprints, fingerprint
from node.builders import PATIENCE_S, READERS, Desk, mark


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(MOST_AT_ONCE) as threads:
        yield threads


@pytest.fixture
def verifications(desk: Desk, threads: ThreadPoolExecutor) -> Verifications:
    write(desk, "create table t(id integer primary key, v)", 1)
    return Verifications(desk.database, threads)


def write(desk: Desk, sql: str, offset: int) -> None:
    desk.database.begin()
    desk.database.writer.execute(sql)
    desk.database.commit(Position(Epoch(1), Offset(offset), HistoryId("cafe")))


def hashed(verifications: Verifications, offset: int) -> Fingerprints:
    """The result, once it is there."""
    waiting = threading.Event()
    for _ in range(int(PATIENCE_S / 0.002)):
        found = verifications.result(Offset(offset))
        if found is not None:
            return found
        waiting.wait(0.002)
    raise AssertionError(f"no hashes at {offset}")


class Held:
    """Stands in for the hashing of tables, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        monkeypatch.setattr(verification, "fingerprint", self)

    def __call__(self, reader: apsw.Connection) -> Fingerprints:
        assert self.go.wait(PATIENCE_S)
        return fingerprint(reader)


def test_the_hashes_are_of_the_mark_whatever_is_written_meanwhile(
    desk: Desk, verifications: Verifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifications.pin(mark(), Offset(1))
    before = hashed(verifications, 1)
    held = Held(monkeypatch)
    verifications.pin(mark(), Offset(1))
    assert verifications.result(Offset(1)) is None
    write(desk, "insert into t values (1, 'later')", 2)
    held.go.set()

    assert hashed(verifications, 1) == before
    verifications.pin(mark(), Offset(2))
    assert hashed(verifications, 2) != before


def test_a_mark_to_come_is_none_and_an_offset_that_is_no_mark_is_an_error(
    verifications: Verifications,
) -> None:
    assert verifications.result(Offset(2)) is None
    with pytest.raises(NotFoundError, match="no verification at offset 1"):
        verifications.result(Offset(1))


def test_too_many_at_once_are_refused_and_asked_for_again(
    verifications: Verifications, monkeypatch: pytest.MonkeyPatch, desk: Desk
) -> None:
    held = Held(monkeypatch)
    for offset in range(2, MOST_AT_ONCE + 3):
        write(desk, f"insert into t values ({offset}, 0)", offset)
        verifications.pin(mark(), Offset(offset))
    refused = Offset(MOST_AT_ONCE + 2)
    with pytest.raises(NotFoundError, match="ask again"):
        verifications.result(refused)
    held.go.set()

    hashed(verifications, 2)
    write(desk, "insert into t values (99, 0)", refused + 1)
    hashed(verifications, MOST_AT_ONCE + 1)
    verifications.pin(mark(), Offset(refused + 1))
    hashed(verifications, refused + 1)


def test_only_the_last_results_are_kept(
    verifications: Verifications, desk: Desk
) -> None:
    for offset in range(2, KEPT_RESULTS + 3):
        write(desk, f"insert into t values ({offset}, 0)", offset)
        verifications.pin(mark(), Offset(offset))
        hashed(verifications, offset)

    with pytest.raises(NotFoundError):
        verifications.result(Offset(2))
    hashed(verifications, 3)


@pytest.mark.parametrize("error", [StorageError("the disk"), KeyError("a fault")])
def test_a_failure_is_an_answer_and_frees_its_place(
    verifications: Verifications, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(verification, "fingerprint", broken)
        for _ in range(MOST_AT_ONCE + 1):
            verifications.pin(mark(), Offset(1))
            with pytest.raises(StorageError, match=r"the disk|a fault"):
                hashed(verifications, 1)
    verifications.pin(mark(), Offset(1))
    hashed(verifications, 1)


def test_a_mark_never_waits_for_a_reader(
    desk: Desk, verifications: Verifications
) -> None:
    with ExitStack() as readers:
        for _ in range(READERS):
            readers.enter_context(desk.database.reader())
        verifications.pin(mark(), Offset(1))
        hashed(verifications, 1)


@pytest.mark.interpreted
def test_a_mark_that_cannot_be_pinned_never_stops_who_wrote_it(
    desk: Desk, verifications: Verifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise apsw.CantOpenError("unable to open database file")

    monkeypatch.setattr(desk.database, "extra_reader", broken)
    verifications.pin(mark(), Offset(1))
    with pytest.raises(StorageError, match="unable to open"):
        hashed(verifications, 1)


def test_hashing_that_lasts_ends_with_the_node(
    verifications: Verifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def endless(reader: apsw.Connection) -> None:
        def note(*_: object) -> int:
            begun.set()
            return 1

        reader.create_scalar_function("note", note)
        reader.execute(
            "with recursive n(i) as (select note() union all select 1 from n) "
            "select count(*) from n"
        ).fetchall()

    monkeypatch.setattr(verification, "fingerprint", endless)
    verifications.pin(mark(), Offset(1))
    assert begun.wait(PATIENCE_S)
    verifications.close()

    with pytest.raises(StorageError, match="interrupted"):
        hashed(verifications, 1)
