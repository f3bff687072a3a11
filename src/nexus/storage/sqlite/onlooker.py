"""Tell whether anybody has committed since the writer's transaction began.

The writer's own `PRAGMA data_version` cannot tell after a rollback: a commit that fails
for want of space makes SQLite drop the writer's pages, and that moves the version as
another process's commit does. A second connection drops nothing, and for it every
commit is another one's.
"""

from pathlib import Path

import apsw

from nexus.storage.sqlite.connections import open_reader


class Onlooker:
    """A connection that only looks; for the writer's thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: apsw.Connection | None = None
        self._seen: object = None

    def look(self) -> None:
        """Remember the database as it is: the writer holds the lock, nobody commits."""
        if self._connection is None:
            self._connection = open_reader(self._path)
        self._seen = self._version(self._connection)

    def saw_no_commit(self) -> bool:
        """Whether nobody, the writer included, has committed since the last look."""
        connection = self._connection
        return connection is not None and self._version(connection) == self._seen

    def close(self) -> None:
        """Let go of the file; the next look opens it again."""
        if self._connection is not None:
            self._connection.close(force=True)
            self._connection = None

    @staticmethod
    def _version(connection: apsw.Connection) -> object:
        return connection.execute("pragma data_version").get
