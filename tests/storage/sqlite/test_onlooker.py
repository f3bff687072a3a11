"""Whether anybody has committed since the writer's transaction began."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from nexus.storage.sqlite.onlooker import Onlooker


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[apsw.Connection]:
    writer = apsw.Connection(str(tmp_path / "a.db"))
    writer.pragma("journal_mode", "wal")
    writer.execute("create table t(x)")
    yield writer
    writer.close()


@pytest.fixture
def onlooker(writer: apsw.Connection) -> Iterator[Onlooker]:
    onlooker = Onlooker(Path(writer.db_filename("main")))
    yield onlooker
    onlooker.close()


def test_a_rollback_is_no_commit(writer: apsw.Connection, onlooker: Onlooker) -> None:
    writer.execute("begin immediate")
    onlooker.look()
    writer.execute("insert into t values (1)")
    writer.execute("rollback")

    assert onlooker.saw_no_commit()


def test_every_commit_is_seen_the_writers_too(
    writer: apsw.Connection, onlooker: Onlooker
) -> None:
    onlooker.look()
    writer.execute("insert into t values (1)")
    assert not onlooker.saw_no_commit()

    onlooker.look()
    assert onlooker.saw_no_commit()


def test_who_has_not_looked_has_seen_nothing_to_rely_on(onlooker: Onlooker) -> None:
    assert not onlooker.saw_no_commit()
    onlooker.look()
    onlooker.close()
    assert not onlooker.saw_no_commit()
    onlooker.look()
    assert onlooker.saw_no_commit()


def test_a_look_holds_no_snapshot(writer: apsw.Connection, onlooker: Onlooker) -> None:
    writer.execute("insert into t values (1)")
    onlooker.look()
    writer.execute("insert into t values (2)")

    _, moved = writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    assert moved == 0
