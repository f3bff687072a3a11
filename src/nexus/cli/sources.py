"""Where SQL is run: on a node through its API, or on a data directory's file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import apsw
import msgspec

from nexus.cli.answer import Answer, Rows
from nexus.cli.nodestream import NodeStream, sets_foreign_keys
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import Remote
from nexus.client.jsonvalues import read_value
from nexus.errors import StatementError
from nexus.model.statements import CONTROL, classify, split
from nexus.storage.directory import DataDirectory
from nexus.storage.sqlite.complaints import error_offset

BUSY_TIMEOUT_MS: Final = 5000
"""A reader waits this long while a full sync replaces the database's pages."""


MOST_AT_ONCE: Final = 100
"""Statements of a script in one request: more save little."""


def controls(statements: Sequence[str]) -> bool:
    """Whether they say themselves where transactions begin and end."""
    return any(classify(one) in CONTROL for one in statements)


class Source(Protocol):
    """Something that runs SQL; for any threads, one at a time."""

    name: str

    @property
    def holds_writer(self) -> bool:
        """Whether a transaction is open that others may have to wait for."""

    def run(self, sql: str) -> Answer:
        """Run the statements: as one transaction, unless they control one themselves.

        Raises NexusError.
        """

    @property
    def most_at_once(self) -> int:
        """How many statements `run_each` had best be given."""

    def run_each(self, statements: Sequence[str]) -> Answer:
        """Run each as it stands, up to the first error; raises NexusError."""

    def close(self) -> None:
        """Let go of it."""


class NodeSource:
    """SQL through a node's HTTP port; writes go to the master."""

    def __init__(self, url: str, secret: str) -> None:
        self._remote = Remote(url, secret)
        self.name = self._remote.url
        self._stream = NodeStream(self._remote)

    @property
    def holds_writer(self) -> bool:
        """Whether a transaction is open, as far as the node has told."""
        return self._stream.is_in_transaction

    def run(self, sql: str) -> Answer:
        """Run the statements: as one transaction, unless they control one themselves.

        Raises NexusError.
        """
        statements = split(sql)
        if not statements:
            return Answer(results=[])
        stream = self._stream
        if (
            stream.is_in_transaction
            or controls(statements)
            or any(map(sets_foreign_keys, statements))
        ):
            return stream.run(statements)
        if not stream.foreign_keys:
            return stream.run(statements, as_one=len(statements) > 1)
        return self._run_alone(statements)

    @property
    def most_at_once(self) -> int:
        """Each request takes its way to the node and back."""
        return MOST_AT_ONCE

    def run_each(self, statements: Sequence[str]) -> Answer:
        """Run each as it stands, in one request; raises NexusError."""
        return self._stream.run_each([*statements])

    def _run_alone(self, statements: list[str]) -> Answer:
        body = {"statements": [{"sql": statement} for statement in statements]}
        answer = self._remote.post("/sql", body)
        for result in answer["results"]:
            result["rows"] = [
                [read_value(cell) for cell in row] for row in result["rows"]
            ]
        return msgspec.convert(answer, Answer)

    def close(self) -> None:
        """Take back what is not committed, and give the connection back."""
        self._stream.close()
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

    @property
    def holds_writer(self) -> bool:
        """Never: who only reads holds nobody up."""
        return False

    def run(self, sql: str) -> Answer:
        """Run the statements; raises StatementError, for every write too."""
        return Answer(
            results=[
                self._one(statement, index)
                for index, statement in enumerate(split(sql))
            ]
        )

    @property
    def most_at_once(self) -> int:
        """Nothing is far away."""
        return 1

    def run_each(self, statements: Sequence[str]) -> Answer:
        """Run each; raises StatementError."""
        return Answer([self._one(one, index) for index, one in enumerate(statements)])

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
