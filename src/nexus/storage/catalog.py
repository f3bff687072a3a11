"""Identity, role, epoch and vote, which must survive a crash.

One row in a SQLite database of its own, written with `synchronous=EXTRA`: what
`update` has returned is on the disk.
"""

import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, Literal

import apsw
import msgspec

from nexus.errors import StorageError
from nexus.model.cluster import NodeId, Role
from nexus.model.operation import Configuration
from nexus.model.position import (
    Epoch,
    EpochHistory,
    HistoryId,
    Offset,
    Position,
)
from nexus.storage.sqlite.connections import storage_error

# Other errors, of a disk or a lock, say nothing against the file.
_NO_CATALOG: Final = (
    apsw.NotADBError,
    apsw.CorruptError,
    apsw.SQLError,
    msgspec.MsgspecError,
)


SPARE_PAGES: Final = 4
"""So many more than the state takes, for a state that grows on a full disk."""

LAYOUT: Final = 1
"""The layout of data directories that this release writes, and the highest it reads."""


class Intent(msgspec.Struct, frozen=True):
    """A replacement of the database that had begun; resolved at the next start."""

    kind: Literal["full_sync", "rewind"]
    before: Position
    """Where the database stood when it began."""
    target: Position
    """Where a rewind goes back to, or a snapshot stands."""


class Base(msgspec.Struct, frozen=True):
    """What a witness's log goes on from: there is no database that would say it."""

    offset: Offset
    history: EpochHistory
    configured_at: Offset
    configuration: Configuration = msgspec.field(name="membership")


class CatalogState(msgspec.Struct, frozen=True):
    """What a node knows of itself."""

    node_id: NodeId = NodeId("")
    cluster_id: str = ""
    role: Role = Role.STANDALONE
    epoch: Epoch = Epoch(0)
    """The highest epoch that this node has met."""
    history_id: HistoryId = HistoryId("")
    """Of the reign that it began last, or of the backup that it was made of."""
    founder: NodeId = NodeId("")
    """Who alone may be the first master of the cluster that was formed."""
    voted_epoch: Epoch = Epoch(0)
    voted_for: NodeId = NodeId("")
    """Whom it has promised its one vote of that epoch."""
    master_addr: str = ""
    """Whom it follows, or followed last; empty on a master."""
    voters: tuple[tuple[str, str], ...] = ()
    """Who formed the cluster: they vote until the log holds a configuration."""
    members: tuple[tuple[NodeId, str, str], ...] = ()
    """Nodes met: id, replication address, HTTP URL."""
    log_watermark: Offset = Offset(0)
    """The log was durable up to here at the last clean stop."""
    incomplete: str = ""
    """Why this node lacks what it had acknowledged; it neither votes nor stands."""
    refilled: bool = False
    """A full sync came since then: what is lacking now, its master's log has."""
    paused: bool = False
    """An operator has stopped the apply; until it is resumed, or this node reigns."""
    intent: Intent | None = None
    """What a start must end first: a rewind or an installation that was broken off."""
    base: Base | None = None
    """Only on a witness whose log does not begin with the first entry."""
    born: str = ""
    """When the catalog's file was made; empty: nobody has looked, or can tell."""
    layout: int = LAYOUT
    """Of the whole data directory; the first release wrote none, and had 1."""

    @property
    def needs_full_sync(self) -> str:
        """Why only a snapshot mends this node; empty if what it has is sound."""
        return "" if self.refilled else self.incomplete


class Catalog:
    """Holds the state; one owner, whose threads may change it one after the other."""

    def __init__(self, connection: apsw.Connection, state: CatalogState) -> None:
        self._connection = connection
        self._changing = threading.Lock()
        self._state = state

    @classmethod
    def open(cls, path: Path) -> "Catalog":
        """Open or create.

        Raises StorageError for a file that is no catalog, or cannot be opened.
        """
        with ExitStack() as opened:
            try:
                connection = apsw.Connection(str(path))
                opened.callback(connection.close)
                state = _read(connection)
            except _NO_CATALOG as error:
                raise StorageError(
                    f"{path} is no catalog of a node ({error}); restore the data "
                    "directory or start this node with an empty one"
                ) from error
            except apsw.Error as error:
                raise storage_error(f"{path} cannot be opened", error) from error
            if state.layout > LAYOUT:
                raise StorageError(
                    f"{path.parent} was written by a newer Nexus: its layout is "
                    f"{state.layout}, this one reads up to {LAYOUT}. Nothing was "
                    "changed. Start the newer Nexus again; or, to go back, give this "
                    "node an empty data directory, which a master of its cluster fills"
                )
            with suppress(apsw.Error):  # there may be space at the next start
                _reserve(connection, path)
            opened.pop_all()
        return cls(connection, state)

    @property
    def state(self) -> CatalogState:
        """The state as it is on the disk."""
        return self._state

    def update(self, **changes: Any) -> CatalogState:
        """Change fields; durable on return. Raises StorageError."""
        with self._changing:
            state = msgspec.structs.replace(self._state, **changes)
            try:
                self._connection.execute(
                    "insert or replace into catalog values (1, ?)",
                    (msgspec.json.encode(state),),
                )
            except apsw.Error as error:
                raise storage_error("the catalog cannot be written", error) from error
            self._state = state
        return state

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _read(connection: apsw.Connection) -> CatalogState:
    """Make what is missing, and read what is there."""
    connection.pragma("synchronous", 3)
    # Kept, not deleted: a change needs no space that was not taken before.
    connection.pragma("journal_mode", "persist")
    connection.execute(
        "create table if not exists catalog("
        "id integer primary key check (id = 1), state blob not null) strict"
    )
    row = connection.execute("select state from catalog").fetchone()
    return msgspec.json.decode(row[0], type=CatalogState) if row else CatalogState()


def _reserve(connection: apsw.Connection, path: Path) -> None:
    """Take the space that later changes need: on a full disk, too, a voter can vote.

    What stays of it is free pages in the file, and a journal that is long enough.
    """
    free = connection.pragma("freelist_count")
    if free >= SPARE_PAGES and path.with_name(path.name + "-journal").exists():
        return
    size = 2 * SPARE_PAGES * int(connection.pragma("page_size"))
    connection.execute("create table if not exists reserve(filler blob)")
    for _ in range(2):  # the second time the journal holds what is free now
        connection.execute("insert into reserve values (zeroblob(?))", (size,))
        connection.execute("delete from reserve")
