"""A deposed master as it stands on its disk: database, log and catalog."""

from pathlib import Path
from typing import Any

from typing_extensions import override

from nexus.model.position import Offset, Position
from nexus.storage.catalog import Catalog
from nexus.storage.rewinding.rewind import resolve, rewind
from nexus.storage.wal import WriteAheadLog
from storage.closing import Closing
from storage.logs import ROOMY
from storage.pair import HISTORY, Pair, content


class Deposed(Closing):
    """Writes through a `Pair`; its replica is what the database was at the fork."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pair = Pair(root)
        self.log = WriteAheadLog.open(root / "wal", ROOMY)
        self.catalog = Catalog.open(root / "catalog.db")

    def fork(self) -> Position:
        """What comes after this is nobody else's."""
        self.pair.apply()
        return Position(self.pair.replica.position.epoch, self.end, HISTORY)

    @property
    def end(self) -> Offset:
        return Offset(len(self.pair.records))

    def log_all(self) -> None:
        """What was written stands in the log, durably."""
        self.log.append(self.pair.records[self.log.last_offset :])
        self.log.sync()

    def rewind(self, to: Position) -> None:
        self.log_all()
        rewind(self.pair.master, self.log, self.catalog, to)
        del self.pair.records[to.offset :]

    def state(self) -> tuple[Any, ...]:
        """All that a rewind takes back, of the database."""
        return state_of(self.pair.master)

    def state_at_fork(self) -> tuple[Any, ...]:
        return state_of(self.pair.replica)

    @override
    def close(self) -> None:
        self.pair.close()
        self.log.close()
        self.catalog.close()


def state_of(database: Any) -> tuple[Any, ...]:
    """Rows, counters, settings, and what Nexus keeps beside them."""
    own = [
        database.writer.execute(f"select * from {table}").fetchall()
        for table in (
            "nexus_position",
            "nexus_history",
            "nexus_membership",
            "nexus_answers",
        )
    ]
    return (content(database), database.position, *own)


class Found:
    """A data directory after a crash, opened and mended as a start does."""

    def __init__(self, root: Path) -> None:
        self.catalog = Catalog.open(root / "catalog.db")
        state = self.catalog.state
        watermark = Offset(0) if state.intent else state.log_watermark
        self.log = WriteAheadLog.open(root / "wal", ROOMY, watermark=watermark)
        self.database = Pair.open_master(root)
        if state.intent:
            resolve(state.intent, self.database, self.log, self.catalog)

    def close(self) -> None:
        self.database.close()
        self.log.close()
        self.catalog.close()
