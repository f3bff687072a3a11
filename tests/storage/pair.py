"""A master's database and a replica's, with the entries that pass between them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
from typing_extensions import override

from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Operation, Reigned
from nexus.model.position import Epoch, HistoryId, Offset, Position, Reign
from nexus.storage.apply import Applier
from nexus.storage.capture import Capture
from nexus.storage.capturing.results import Captured, Statement
from nexus.storage.database import Database
from nexus.storage.fingerprint import Fingerprints, fingerprint
from storage.closing import Closing

HISTORY = HistoryId("11aa22bb")
LIMIT_BYTES = 64 << 20


class Pair(Closing):
    """Writes at `master`; `records` is the log, which `applier` brings to `replica`."""

    def __init__(self, directory: Path) -> None:
        self.master = Database.open(directory / "master.db")
        self.replica = Database.open(directory / "replica.db")
        self.master.set_mode_capturing()
        self.replica.set_mode_applying()
        self.capture = Capture(self.master, LIMIT_BYTES)
        self.applier = Applier(self.replica)
        self.records: list[Record] = []
        reign = Reign(Epoch(1), HISTORY, "master", Offset(1), 0, "start")
        self.master.begin()
        self.master.keep_own(Reigned(reign), reign.first_offset)
        self.log(Reigned(reign))
        self.commit()

    @staticmethod
    def open_master(directory: Path) -> Database:
        """The master's database once more, as after the end of its process."""
        return Database.open(directory / "master.db")

    def write(self, *statements: str | tuple[str, Any]) -> Captured:
        """One transaction at the master, and its entry."""
        self.master.begin()
        captured = self.capture.run(
            [
                Statement(statement)
                if isinstance(statement, str)
                else Statement(*statement)
                for statement in statements
            ]
        )
        self.log(*captured.operations, schema_hash=captured.schema_hash)
        self.commit()
        return captured

    def log(
        self,
        *operations: Operation,
        schema_hash: bytes = b"",
        transaction_id: str = "",
        answer: bytes = b"",
    ) -> Record:
        """One more entry; the database is the caller's matter."""
        payload = Payload(0, transaction_id, schema_hash, operations, answer)
        offset = Offset(len(self.records) + 1)
        record = Record(Epoch(1), offset, encode_payload(payload))
        self.records.append(record)
        return record

    def commit(self) -> None:
        """Commit the master's transaction at the log's end."""
        self.master.commit(Position(Epoch(1), Offset(len(self.records)), HISTORY))

    def apply(self, records: Sequence[Record] | None = None) -> Position:
        """Bring the replica what it lacks."""
        return self.applier.apply(self.records if records is None else records)

    def restart_replica(self) -> None:
        """As after the end of its process."""
        path = self.replica.path
        self.replica.close()
        self.replica = Database.open(path)
        self.replica.set_mode_applying()
        self.applier = Applier(self.replica)

    @override
    def close(self) -> None:
        self.master.close()
        self.replica.close()


def content(database: Database) -> Fingerprints:
    """The hashes of all tables, as the writer sees them."""
    return fingerprint(database.writer)


def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    """What a query gives."""
    connection: apsw.Connection = database.writer
    found: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
    return found
