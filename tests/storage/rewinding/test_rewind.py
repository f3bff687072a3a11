"""A rewind leaves the database as it was at the fork, or everything as it is."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from nexus.errors import (
    DatabaseBusyError,
    DiskFullError,
    LogGapError,
    RewindError,
    StorageError,
)
from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Configuration, Fingerprint, Reigned, Rows
from nexus.model.position import Epoch, HistoryId, Offset, Position, Reign
from nexus.storage.applying.merging import RowApplier
from nexus.storage.catalog import Catalog, Intent
from nexus.storage.database import Database
from nexus.storage.rewinding import rewind as module
from nexus.storage.rewinding.rewind import cut, rewind
from nexus.storage.schema.system import write_configuration
from nexus.storage.wal import WriteAheadLog
from storage.deposed import Deposed, Found, state_of
from storage.logs import all_of
from storage.pair import HISTORY

SCHEMA = (
    "create table track(id integer primary key autoincrement, name text, ms int)",
    "create table tag(name text primary key not null, n)",
    "create table loose(a, b)",
    "create virtual table found using fts5(body)",
    "create table kept(id integer primary key, "
    "track integer references track on delete cascade)",
    "create trigger counted after insert on track begin "
    "update tag set n = n + 1 where name = 'tracks'; end",
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Deposed]:
    with Deposed(tmp_path) as found:
        for statement in SCHEMA:
            found.pair.write(statement)
        found.pair.write("insert into tag values ('tracks', 0)")
        found.pair.write("insert into track(name, ms) values ('So What', 562)")
        found.pair.write("insert into kept values (1, 1), (2, 1)")
        found.pair.write("insert into found values ('blue in green')")
        found.pair.write("insert into loose values (1, 'one'), (2, 'two')")
        yield found


def diverge(node: Deposed) -> None:
    """What only this node has: rows of all kinds, counters, settings."""
    write = node.pair.write
    write("insert into track(name, ms) values ('Naima', 261), ('Nardis', 349)")
    write("update track set ms = ms + 1, name = upper(name)")
    write("insert into found values ('flamenco sketches'), ('all blues')")
    write("delete from track where id = 1")
    write("update loose set b = 'zwei' where a = 2", "insert into loose values (3, 3)")
    write("delete from found where rowid = 1")
    write("update sqlite_sequence set seq = 900 where name = 'track'")
    write("pragma user_version = 7", "pragma application_id = 8")
    write("replace into tag values ('tracks', 'many'), ('new', 1)")


def test_everything_is_as_it_was_at_the_fork(node: Deposed) -> None:
    to = node.fork()
    diverge(node)
    assert node.state() != node.state_at_fork()

    node.rewind(to)

    assert node.state() == node.state_at_fork()
    assert node.log.last_offset == node.log.durable_offset == to.offset
    assert node.pair.master.position == to
    assert node.catalog.state.intent is None
    assert node.catalog.state.log_watermark == to.offset
    assert node.pair.master.checkpointed_offset <= to.offset


def test_what_the_node_writes_afterwards_is_right(node: Deposed) -> None:
    to = node.fork()
    diverge(node)
    node.rewind(to)

    node.pair.master.set_mode_capturing()
    node.pair.write("insert into track(name, ms) values ('Peace Piece', 404)")
    node.pair.write("insert into found values ('green dolphin street')")
    node.pair.apply()

    assert node.state() == node.state_at_fork()
    command = "insert into found(found, rank) values ('integrity-check', 1)"
    node.pair.master.writer.execute(command)
    rows = node.pair.master.writer.execute("select id from track order by id")
    assert rows.fetchall() == [(1,), (2,)]


def test_reigns_configurations_and_answers_after_the_fork_are_gone(
    node: Deposed,
) -> None:
    to = node.fork()
    master, pair = node.pair.master, node.pair
    reign = Reign(Epoch(2), HistoryId("ffff"), "me", Offset(node.end + 1), 0, "promote")
    master.begin()
    master.keep_own(Reigned(reign), reign.first_offset)
    members = Configuration("cluster", (("a", "a:1"),))
    pair.log(Reigned(reign), members, Fingerprint("f"))
    write_configuration(master.writer, node.end, members)
    pair.log(transaction_id="key", answer=b"first")
    master.remember_answer("key", node.end, b"first")
    master.commit(Position(Epoch(2), node.end, HistoryId("ffff")))
    assert master.answer_of("key") is not None

    node.rewind(to)

    assert node.state() == node.state_at_fork()
    assert master.answer_of("key") is None
    assert [reign.epoch for reign in master.history().reigns] == [1]


def test_entries_that_were_not_applied_are_only_cut(node: Deposed) -> None:
    to = node.fork()
    node.pair.write("insert into track(name, ms) values ('Naima', 261)")
    unread = Payload(0, "", b"", ())
    late = Record(Epoch(1), Offset(node.end + 1), encode_payload(unread))
    foreign = Record(Epoch(1), Offset(node.end + 2), b"no entry at all")
    node.pair.records += [late, foreign]

    node.rewind(to)

    assert node.state() == node.state_at_fork()
    assert len(all_of(node.log)) == to.offset


def test_a_database_that_never_came_to_the_fork_is_left_alone(node: Deposed) -> None:
    node.log_all()
    before = node.state()
    offset = node.end
    node.log.append([Record(Epoch(1), Offset(offset + n), b"x") for n in (1, 2, 3)])
    node.log.sync()

    rewind(
        node.pair.master,
        node.log,
        node.catalog,
        Position(Epoch(1), Offset(offset + 2), HISTORY),
    )

    assert node.state() == before
    assert node.log.last_offset == offset + 2
    assert node.catalog.state.intent is None


def test_a_long_divergence_goes_back_piece_by_piece(
    node: Deposed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_BYTES", 300)
    monkeypatch.setattr(module, "MERGED_BYTES", 200)
    monkeypatch.setattr(module, "LARGE_CHANGESET", 400)
    to = node.fork()
    for turn in range(4):
        node.pair.write(f"insert into track(name, ms) values ('Naima', {turn})")
        node.pair.write("update track set ms = ms + 1")
        node.pair.write(f"update track set name = '{'long' * 200}' where id < 3")

    node.rewind(to)

    assert node.state() == node.state_at_fork()


def test_changes_that_are_in_each_others_way_only_when_merged_go_back_one_by_one(
    node: Deposed,
) -> None:
    node.pair.write("create table place(id integer primary key, name text unique)")
    node.pair.write("insert into place values (1, 'a'), (2, 'b')")
    to = node.fork()
    node.pair.write("update place set name = 'c' where id = 1")
    node.pair.write("update place set name = 'a' where id = 2")
    node.pair.write("delete from place where id = 1")
    node.pair.write("insert into place values (1, 'b')")

    node.rewind(to)

    assert node.state() == node.state_at_fork()


def test_rows_beside_keys_with_two_spellings_go_back(node: Deposed) -> None:
    node.pair.write("create table city(name text not null collate nocase primary key)")
    node.pair.write("insert into city values ('Oslo'), ('Bergen')")
    to = node.fork()
    node.pair.write(
        "delete from city where name = 'OSLO'",
        "insert into loose values (9, 'nine')",
        "insert into found values ('in a silent way')",
    )

    node.rewind(to)

    assert node.state() == node.state_at_fork()


def write_least(node: Deposed) -> None:
    key = -(1 << 63)
    captured = node.pair.write(("insert into loose(a) values (?)", (key,)))
    (rows,) = captured.operations
    assert isinstance(rows, Rows)
    del node.pair.records[-1]
    node.pair.log(replace(rows, alone=True), schema_hash=captured.schema_hash)


def write_schema(node: Deposed) -> None:
    node.pair.write("alter table track add column genre")


def write_respelled(node: Deposed) -> None:
    node.pair.write("insert into city values ('Oslo')")


def write_nonsense(node: Deposed) -> None:
    record = Record(Epoch(1), Offset(node.end + 1), b"\xc1 no entry")
    node.pair.records.append(record)
    node.pair.master.begin()
    node.pair.commit()


def write_under_another_schema(node: Deposed) -> None:
    node.pair.log(schema_hash=b"0" * 16)
    node.pair.master.begin()
    node.pair.commit()


def write_past_the_log(node: Deposed) -> None:
    node.pair.write("insert into track(name, ms) values ('Naima', 261)")
    node.pair.write("update track set ms = 0 where name = 'Naima'")
    node.pair.master.writer.execute("update track set ms = 99 where name = 'Naima'")


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (write_schema, "changes the schema: alter table"),
        (write_respelled, "keys can be equal and not the same"),
        (write_least, "keys can be equal and not the same"),
        (write_nonsense, "says nothing that this version understands"),
        (write_under_another_schema, "another schema"),
        (write_past_the_log, "the row here has other values"),
    ],
)
def test_what_cannot_be_taken_back_leaves_everything_as_it_is(
    node: Deposed, write: Callable[[Deposed], None], words: str
) -> None:
    node.pair.write("create table city(name text not null collate nocase primary key)")
    to = node.fork()
    write(node)
    node.pair.write("insert into track(name, ms) values ('Blue Train', 642)")
    node.log_all()
    before, records = node.state(), all_of(node.log)

    with pytest.raises(RewindError, match=words):
        rewind(node.pair.master, node.log, node.catalog, to)

    assert node.state() == before
    assert all_of(node.log) == records
    assert node.catalog.state.intent is None
    assert node.pair.master.writer.pragma("synchronous") == 1


def test_a_log_that_begins_after_the_fork_cannot_take_back(node: Deposed) -> None:
    to = node.fork()
    diverge(node)
    node.log.reset(Offset(to.offset + 2))

    with pytest.raises(RewindError, match="the log begins with entry"):
        rewind(node.pair.master, node.log, node.catalog, to)

    assert node.catalog.state.intent is None


def test_a_position_that_the_database_never_had_is_refused(node: Deposed) -> None:
    to = node.fork()
    diverge(node)
    node.log_all()
    stranger = Position(Epoch(1), to.offset, HistoryId("other"))

    with pytest.raises(RewindError, match="was never at"):
        rewind(node.pair.master, node.log, node.catalog, stranger)


@pytest.mark.interpreted
def test_entries_that_retention_drops_meanwhile_end_it(
    node: Deposed, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = node.fork()
    diverge(node)
    node.log_all()
    before = node.state()
    real = node.log.cursor
    opened: list[Offset] = []

    def cursor(start: Offset) -> Any:
        opened.append(start)
        if len(opened) > 1:
            raise LogGapError("dropped")
        return real(start)

    monkeypatch.setattr(node.log, "cursor", cursor)
    with pytest.raises(RewindError, match="retention was faster"):
        rewind(node.pair.master, node.log, node.catalog, to)

    assert node.state() == before


@pytest.mark.parametrize(
    ("raised", "expected", "is_resolved"),
    [
        (apsw.FullError("disk"), DiskFullError, True),
        (apsw.IOError("disk"), StorageError, False),
    ],
)
def test_a_disk_that_fails_takes_nothing_back_and_a_full_one_may_try_again(
    node: Deposed,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    expected: type[Exception],
    is_resolved: bool,  # noqa: FBT001
) -> None:
    to = node.fork()
    diverge(node)
    node.log_all()
    before = node.state()

    def fail(*_: Any) -> None:
        raise raised

    with monkeypatch.context() as patched:
        patched.setattr(module, "forget_after", fail)
        with pytest.raises(expected):
            rewind(node.pair.master, node.log, node.catalog, to)

    assert node.state() == before
    assert (node.catalog.state.intent is None) is is_resolved
    node.rewind(to)
    assert node.state() == node.state_at_fork()


def test_a_transaction_that_sqlite_has_ended_by_itself_takes_nothing_back(
    node: Deposed, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = node.fork()
    diverge(node)
    node.log_all()
    before = node.state()

    def end(*_: Any) -> None:
        node.pair.master.writer.execute("rollback")
        raise apsw.CorruptError("page 7")

    monkeypatch.setattr(RowApplier, "apply_merged", end)
    with pytest.raises(StorageError, match="page 7"):
        rewind(node.pair.master, node.log, node.catalog, to)

    assert node.state() == before


def test_a_lock_of_another_process_is_waited_for_by_the_caller(
    node: Deposed,
) -> None:
    to = node.fork()
    diverge(node)
    node.log_all()
    node.pair.master.writer.set_busy_timeout(0)
    other = apsw.Connection(str(node.pair.master.path))
    other.execute("begin immediate")

    with pytest.raises(DatabaseBusyError):
        rewind(node.pair.master, node.log, node.catalog, to)

    other.execute("rollback")
    other.close()
    assert node.catalog.state.intent is None
    node.rewind(to)
    assert node.state() == node.state_at_fork()


def test_the_transaction_is_synced_before_the_log_is_cut(
    node: Deposed, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = node.fork()
    diverge(node)
    steps: list[Any] = []
    watched(monkeypatch, steps.append)

    node.rewind(to)

    assert [step for step in steps if step != "watermark"] == [
        "intent written",
        "database committed, synchronous 2",
        "log cut",
        "intent cleared",
    ]
    assert node.pair.master.writer.pragma("synchronous") == 1


def watched(monkeypatch: pytest.MonkeyPatch, after: Callable[[str], None]) -> None:
    """Call `after` with every step that a rewind has made durable."""
    update, commit = Catalog.update, Database.commit
    truncate = WriteAheadLog.truncate_after

    def updated(self: Catalog, **changes: Any) -> Any:
        state = update(self, **changes)
        if "intent" in changes:
            after(f"intent {'written' if changes['intent'] else 'cleared'}")
        else:
            after("watermark")
        return state

    def committed(self: Database, position: Position | None) -> None:
        level = self.writer.pragma("synchronous")
        commit(self, position)
        after(f"database committed, synchronous {level}")

    def truncated(self: WriteAheadLog, last_kept: Offset) -> None:
        truncate(self, last_kept)
        after("log cut")

    monkeypatch.setattr(Catalog, "update", updated)
    monkeypatch.setattr(Database, "commit", committed)
    monkeypatch.setattr(WriteAheadLog, "truncate_after", truncated)


def copied(root: Path, copy: Path) -> Path:
    """The files as a crash would leave them now; another process reads them."""
    subprocess.run(["cp", "-r", str(root), str(copy)], check=True)
    return copy


def test_a_crash_after_any_step_is_mended_from_what_the_database_says(
    node: Deposed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    to = node.fork()
    diverge(node)
    node.log_all()
    node.catalog.update(log_watermark=node.log.durable_offset)
    before, at_fork = node.state(), node.state_at_fork()
    end = node.end
    crashes: list[tuple[str, Path]] = []
    places = tmp_path_factory.mktemp("crashes")

    def crash(step: str) -> None:
        copy = copied(node.root, places / f"{len(crashes)}")
        crashes.append((step, copy))

    with pytest.MonkeyPatch.context() as patched:
        watched(patched, crash)
        node.rewind(to)

    for step, copy in crashes:
        found = Found(copy)
        went_back = step != "intent written"
        assert state_of(found.database) == (at_fork if went_back else before), step
        assert found.log.last_offset == (to.offset if went_back else end), step
        assert found.catalog.state.intent is None
        rewind(found.database, found.log, found.catalog, to)
        assert state_of(found.database) == at_fork, step
        assert found.log.last_offset == to.offset
        found.close()
    assert len(crashes) == 5


def test_power_that_fails_before_the_commit_leaves_log_and_database_whole(
    node: Deposed,
) -> None:
    to = node.fork()
    diverge(node)
    node.log_all()
    before, end = node.state(), node.end
    node.catalog.update(intent=Intent("rewind", node.pair.master.position, to))
    node.close()

    found = Found(node.root)

    assert state_of(found.database) == before
    assert found.log.last_offset == end
    assert found.catalog.state.intent is None
    found.close()


def test_a_node_without_a_database_only_cuts_its_log(node: Deposed) -> None:
    to = node.fork()
    diverge(node)
    node.log_all()

    cut(node.log, node.catalog, to)

    assert node.log.last_offset == to.offset
    assert node.catalog.state.log_watermark == to.offset
