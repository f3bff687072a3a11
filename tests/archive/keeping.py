"""A master's database and log, an archive of them, and what is expected of both."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from nexus.archive.directory import DirectoryStore
from nexus.archive.names import RunName
from nexus.archive.restoring import Moment, Restored, restore
from nexus.archive.stores import Store
from nexus.archive.uploading import Uploader
from nexus.model.entry import written_us
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Reign
from nexus.node.writing.jobs import Job
from nexus.node.writing.writer import BatchWriter
from nexus.storage.catalog import Catalog, CatalogState
from nexus.storage.snapshots.store import SnapshotSettings, SnapshotStore
from node.builders import REIGN, Desk, open_desk, wanted

CLUSTER = "c1"
MAX_SIZE = 1 << 30
TABLE = "create table t(id integer primary key, v)"


def reign(epoch: int, history_id: str, first: int = 1) -> Reign:
    """A reign by its numbers."""
    return Reign(Epoch(epoch), HistoryId(history_id), "m", Offset(first), 0, "start")


def history(*reigns: Reign) -> EpochHistory:
    """These reigns, oldest first."""
    return EpochHistory(reigns)


@dataclass
class Keeper:
    """One master that archives, and the rows that it had after each entry."""

    root: Path
    desk: Desk
    writer: BatchWriter
    store: Store
    reigns: bool = True
    rows: dict[int, list[tuple[Any, ...]]] = field(default_factory=dict)
    times: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / "snapshots").mkdir(exist_ok=True)
        self.snapshots = SnapshotStore(
            self.root / "snapshots", SnapshotSettings(max_size=1 << 30, keep=1)
        )
        self.uploader = self.begun()
        self.write(TABLE)

    @property
    def last(self) -> Offset:
        """The newest entry that is committed."""
        return self.desk.database.position.offset

    def begun(self) -> Uploader:
        """An uploader that has looked at the archive."""
        uploader = Uploader(
            self.store, self.desk.log, CLUSTER, history(REIGN), lambda: self.reigns
        )
        uploader.begin()
        return uploader

    def write(self, *statements: str | tuple[str, Any]) -> Offset:
        """Commit one transaction, and note what the database holds then."""
        job = Job(wanted(*statements), None)
        self.writer.run_batch([job])
        assert job.error is None, job.error
        self.rows[self.last] = self.desk.rows("select * from t order by id")
        with closing(self.desk.log.cursor(self.last)) as cursor:
            (record,) = cursor.read(Offset(self.last + 1), 1)
        self.times[self.last] = written_us(record.payload)
        return self.last

    def insert(self, count: int = 1) -> Offset:
        """So many transactions of one row."""
        for _ in range(count):
            self.write("insert into t(v) values (hex(randomblob(8)))")
        return self.last

    def carry(self) -> None:
        """Archive all that is committed, as one run."""
        while self.uploader.carry(self.last):
            pass

    def archive(self, count: int) -> RunName:
        """So many new transactions, archived as one run."""
        last = self.insert(count)
        self.carry()
        (run,) = (run for run in self.uploader.look().runs if run.last == last)
        return run

    def snapshot(self) -> str:
        """Archive a snapshot; its name."""
        info = self.snapshots.make(self.desk.database, CLUSTER)
        path = self.snapshots.path(info.id)
        name = self.uploader.name_snapshot(info.position)
        self.store.put_file(str(name), path)
        self.uploader.snapshot_added(name, path.stat().st_size)
        return str(name)

    def restored(self, name: str, moment: Moment | None = None, **how: Any) -> Restored:
        """Restore to a directory of this name."""
        return restore(
            self.store, self.root / name, moment or Moment(), max_size=MAX_SIZE, **how
        )

    def assert_restorable(self) -> None:
        """A restored copy holds all that this master does."""
        self.restored("copy")
        assert rows_in(self.root / "copy") == self.rows[self.last]


@contextmanager
def keeper(root: Path, store: Store | None = None) -> Iterator[Keeper]:
    """A master in `root` that has written its table, and archives to a directory."""
    desk = open_desk(root)
    try:
        yield Keeper(
            root, desk, desk.writer(), store or DirectoryStore(root / "the archive")
        )
    finally:
        desk.close()


def rows_in(directory: Path) -> list[tuple[Any, ...]]:
    """What a restored database holds; it is sound."""
    connection = apsw.Connection(
        str(directory / "nexus.db"), flags=apsw.SQLITE_OPEN_READONLY
    )
    try:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        return connection.execute("select * from t order by id").fetchall()
    finally:
        connection.close()


def catalog_of(directory: Path) -> CatalogState:
    """What the catalog of a stopped node says."""
    catalog = Catalog.open(directory / "catalog.db")
    try:
        return catalog.state
    finally:
        catalog.close()
