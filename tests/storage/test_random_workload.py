"""Whatever a client does, its replica and its change feed have it.

Random schemas and transactions; WORKLOAD_TRANSACTIONS and WORKLOAD_SEED make it longer
and other.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from nexus.errors import NexusError
from nexus.model.change import Change
from nexus.model.position import Offset
from nexus.storage.capturing.results import Statement
from nexus.storage.database import Database
from nexus.storage.feed.reader import EntryReader
from storage.folding import Fold
from storage.pair import HISTORY, Pair, content, rows
from workload import Workload

TRANSACTIONS = int(os.environ.get("WORKLOAD_TRANSACTIONS", "300"))
SEED = int(os.environ.get("WORKLOAD_SEED", "20261124"))
RUNS = 3
"""Seeds; each has its share of the transactions."""


class Run:
    """One seed's run; `story` is what to show when the replica differs."""

    def __init__(self, pair: Pair, seed: int) -> None:
        self.pair = pair
        self.workload = Workload(seed, pair.master.writer)
        self.chance = random.Random(seed)
        self.appetite = random.Random(seed)
        self.story: list[str] = []
        self.transactions = 0
        self.diligence = self.appetite.choice((0.5, 0.2, 0.02))
        """How likely the replica catches up after a batch: it may fall far behind."""

    def batch(self) -> None:
        """Some transactions share one SQLite transaction, as the writer has it."""
        pair = self.pair
        before = len(pair.records)
        pair.master.begin()
        for _ in range(self.chance.choice((1, 1, 2, 4))):
            self._transaction()
            if not pair.capture.outer_stands:
                self.story.append("-- everything of the batch is taken back")
                del pair.records[before:]
                pair.capture.forget()
                pair.master.rollback()
                return
        pair.commit()

    def _transaction(self) -> None:
        capture = self.pair.capture
        capture.begin()
        self.transactions += 1
        self.story.append("-- transaction")
        for _ in range(self.workload.begin()):
            statement = self.workload.next()
            self._execute(statement)
            if not capture.outer_stands:
                return
        try:
            if self.chance.random() < 0.1:
                capture.abandon()
                self.story.append("-- abandoned")
                return
            captured = capture.finish()
        except NexusError as error:
            self.story.append(f"-- not finished: {error}")
            capture.abandon()
            return
        if captured.operations:
            offset = Offset(len(self.pair.records) + 1)
            self.pair.master.keep_columns(offset, captured.schema_changes)
            self.pair.log(*captured.operations, schema_hash=captured.schema_hash)
            self.story.append(f"-- entry {len(self.pair.records)}")

    def _execute(self, statement: Statement) -> None:
        values = statement.params if statement.many is None else statement.many
        self.story.append(f"{statement.sql} {values!r}"[:400])
        try:
            self.pair.capture.execute(statement)
        except NexusError as error:
            self.story.append(f"   -- {type(error).__name__}: {error}"[:300])

    def catch_up(self) -> None:
        """The replica applies what it lacks, in batches of any size."""
        pair = self.pair
        while pair.replica.position.offset < len(pair.records):
            start = pair.replica.position.offset
            stop = start + self.appetite.choice((1, 2, 7, 40, 200))
            pair.apply(pair.records[start:stop])
            if self.appetite.random() < 0.05:
                pair.restart_replica()

    def compare(self) -> None:
        """Both databases hold the same, and are sound."""
        assert content(self.pair.replica) == content(self.pair.master)

    def examine(self) -> None:
        """SQLite itself finds both databases sound."""
        for database in (self.pair.master, self.pair.replica):
            assert problems(database) == problems(self.pair.master)


def feed_of(pair: Pair, database: Database) -> Iterator[Change]:
    """Every change of the log, as this database tells it."""
    reader = EntryReader(database, HISTORY, frozenset())
    for record in pair.records:
        yield from reader.changes(record)


def kept_columns(database: Database) -> list[tuple[Any, ...]]:
    """What is known of the tables of every entry."""
    return rows(database, "select * from nexus_columns order by name, offset, step")


def problems(database: Database) -> list[str]:
    """What SQLite finds wrong: with the file, and with its full-text indexes."""
    found = [
        str(row[0]) for row in database.writer.execute("pragma integrity_check(5)")
    ]
    virtual = database.writer.execute(
        "select name from sqlite_schema where sql like '%using fts5%'"
    ).fetchall()
    for (name,) in virtual:
        try:
            with database.writer:
                database.writer.execute(
                    f"insert into {name}({name}, rank) values ('integrity-check', 1)"
                )
        except apsw.Error as error:
            found.append(f"{name}: {error}")
    return found


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("run_number", range(RUNS))
def test_a_replica_holds_whatever_random_transactions_left(
    tmp_path: Path, run_number: int
) -> None:
    with Pair(tmp_path) as pair:
        run = Run(pair, SEED + run_number)

        while run.transactions < TRANSACTIONS // RUNS:
            run.batch()
            if run.chance.random() < run.diligence:
                run.catch_up()
                run.compare()
        run.catch_up()

        run.compare()
        run.examine()

        # Then its changes, folded from the first one, are the same rows once more,
        # whatever has become of the tables since.
        assert kept_columns(pair.replica) == kept_columns(pair.master)
        with Fold(tmp_path / "folded.db") as folded:
            folded.take(feed_of(pair, pair.replica))
            assert folded.content() == content(pair.master)
