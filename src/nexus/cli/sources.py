"""Where SQL is run: on a node through its API, or on a data directory's file."""

import base64
import math
from pathlib import Path
from typing import Any, Final, Protocol

import apsw
import msgspec

from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import Remote
from nexus.client.jsonvalues import read_value
from nexus.errors import StatementError
from nexus.model.statements import split
from nexus.storage.complaints import error_offset
from nexus.storage.directory import DataDirectory

BUSY_TIMEOUT_MS: Final = 5000
"""A reader waits this long while a full sync replaces the database's pages."""


class Rows(msgspec.Struct, frozen=True):
    """What one statement gave."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    rows_affected: int = 0
    last_insert_rowid: int = 0


class Answer(msgspec.Struct, frozen=True):
    """What a text of one or more statements gave; `offset` 0: nothing was written."""

    results: list[Rows]
    offset: int = 0
    epoch: int = 0
    outcome: str = ""
    durable_on: int = 0


class Source(Protocol):
    """Something that runs SQL."""

    name: str

    def run(self, sql: str) -> Answer:
        """Run the statements as one transaction; raises NexusError."""

    def close(self) -> None:
        """Let go of it."""


class NodeSource:
    """SQL through POST /sql; writes go to the master."""

    def __init__(self, url: str, secret: str) -> None:
        self._remote = Remote(url, secret)
        self.name = self._remote.url

    def run(self, sql: str) -> Answer:
        """Run the statements as one transaction; raises NexusError."""
        statements = [{"sql": statement} for statement in split(sql)]
        if not statements:
            return Answer(results=[])
        answer = self._remote.post("/sql", {"statements": statements})
        for result in answer["results"]:
            result["rows"] = [
                [read_value(cell) for cell in row] for row in result["rows"]
            ]
        return msgspec.convert(answer, Answer)

    def close(self) -> None:
        """Give the connection back."""
        self._remote.close()


class FileSource:
    """SQL on the database of a data directory, read-only; its node may be running."""

    def __init__(self, directory: Path) -> None:
        path = DataDirectory(directory).database
        if not path.is_file():
            raise NotDoneError(
                f"there is no {path.name} in '{directory}'; name a node's data "
                "directory, or a URL"
            )
        self.name = str(path)
        try:
            self._connection = apsw.Connection(
                str(path), flags=apsw.SQLITE_OPEN_READONLY
            )
        except apsw.Error as error:
            raise NotDoneError(f"'{path}' cannot be opened: {error}") from None
        self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)

    def run(self, sql: str) -> Answer:
        """Run the statements; raises StatementError, for every write too."""
        return Answer(
            results=[
                self._one(statement, index)
                for index, statement in enumerate(split(sql))
            ]
        )

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _one(self, sql: str, index: int) -> Rows:
        columns: tuple[str, ...] = ()

        # The description of a result without rows can be had only before the first
        # step, which is when SQLite's trace is called.
        def describe(cursor: apsw.Cursor, _sql: str, _bindings: object) -> bool:
            nonlocal columns
            columns = tuple(name for name, *_ in cursor.get_description())
            return True

        cursor = self._connection.cursor()
        cursor.exec_trace = describe
        try:
            rows = cursor.execute(sql).fetchall()
        except apsw.ReadOnlyError:
            raise StatementError(
                "a data directory is only read here; to write, give the URL of its "
                "node (nexus serve starts one)",
                index=index,
            ) from None
        except apsw.Error as error:
            raise StatementError(
                f"{error} (statement {index + 1})",
                index=index,
                error_offset=error_offset(error),
            ) from None
        return Rows(columns=columns, rows=rows)


def open_source(target: str, secret: str) -> Source:
    """A data directory where there is one of that name, else a node's URL."""
    path = Path(target)
    if path.is_dir():
        return FileSource(path)
    if target.startswith((".", "/", "~")):
        raise NotDoneError(f"there is no directory '{target}'; name one, or a URL")
    return NodeSource(target, secret)


def write_value(value: Any) -> Any:
    """A value for JSON, as the API writes it."""
    if isinstance(value, bytes):
        return {"$blob": base64.b64encode(value).decode()}
    if isinstance(value, float) and math.isinf(value):
        return {"$float": "Infinity" if value > 0 else "-Infinity"}
    return value
