"""The session of a connection whose node is in this process."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import apsw

from nexus.client.changes import Wanted
from nexus.client.session import Result, Statement
from nexus.embedded.changes import Following
from nexus.errors import NodeStoppedError
from nexus.errors.sqlite import interrupted, overtaken
from nexus.model.position import Position
from nexus.model.statements import is_vacuum
from nexus.node.reading.changes import ChangeStream, Wish, Write
from nexus.node.reading.querying import query
from nexus.node.reading.views import View, Views
from nexus.node.transactions import TransactionManager
from nexus.node.writing import work
from nexus.node.writing.interactive import InteractiveTransaction
from nexus.storage.capturing import results
from nexus.storage.database import Database


class Host(Protocol):
    """What a session needs of its node."""

    @property
    def database(self) -> Database:
        """The node's database, for reads."""

    def writer(self) -> TransactionManager:
        """The manager of writes; raises ReadOnlyReplicaError on a replica."""

    @property
    def views(self) -> Views:
        """States of the database that clients go on reading."""

    @property
    def idle_limit_s(self) -> float:
        """How long a transaction may stay idle."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where its coroutines run."""

    async def changes(self, wish: Wish, write: Write, /) -> ChangeStream:
        """What it has applied and applies."""


class NodeSession:
    """Reads from the node's pool of readers; all else passes its writer."""

    def __init__(self, host: Host) -> None:
        self.foreign_keys = True
        self._host = host
        self._last_position: Position | None = None
        self._transaction: InteractiveTransaction | None = None
        self._view: View | None = None
        """What `read` answers from, if it is held."""
        self._lock = threading.Lock()
        """Held to change or to interrupt what reads."""
        self._reading: apsw.Connection | View | None = None
        self._interrupted = False

    @property
    def last_position(self) -> Position | None:
        """Where the last committed write of this session stands in the log."""
        return self._last_position

    @property
    def in_transaction(self) -> bool:
        """Whether this session holds the writer."""
        return self._transaction is not None and not self._transaction.ended

    def read(self, statement: Statement) -> Result:
        """Run a query on a reader: it sees all that is committed on this node."""
        asked = _statement(statement)
        view = self._view
        try:
            if view is not None:
                with self._noted(view):
                    return _result(view.query(asked))
            with self._host.database.reader() as reader, self._noted(reader):
                return _result(query(reader, asked))
        except NodeStoppedError:
            if not self._interrupted:
                raise
            raise interrupted() from None

    def hold(self) -> None:
        """Have `read` answer from the database as it stands now."""
        self._view = self._host.views.open()

    def let_go(self) -> None:
        """Have `read` see the last commit again."""
        view, self._view = self._view, None
        if view is not None:
            self._host.views.give_up(view)

    def changes(self, wanted: Wanted) -> Following:
        """The node's change feed; each step waits for the next change."""
        return Following(self._host, wanted)

    def run(self, statements: Sequence[Statement]) -> list[Result]:
        """Run these as one transaction; it may share its batch with others'."""
        answer = self._host.writer().execute_blocking(
            work.Transaction(
                tuple(map(_statement, statements)), foreign_keys=self.foreign_keys
            )
        )
        self._remember(answer)
        return list(map(_result, answer.results))

    def run_alone(self, statement: Statement) -> Result:
        """Run what no transaction can hold; VACUUM is this node's own matter."""
        if not is_vacuum(statement.sql):
            return self.run([statement])[0]
        self._host.writer().run_blocking(self._host.database.vacuum)
        return Result()

    def begin(self) -> None:
        """Wait for the writer, and hold it."""
        transaction = self._host.writer().begin_blocking(
            work.Interactive(self._host.idle_limit_s, foreign_keys=self.foreign_keys)
        )
        view, now = self._view, self._host.database.position.offset
        if view is not None and view.offset != now:
            transaction.rollback()
            raise overtaken()
        self.let_go()
        self._transaction = transaction

    def run_inside(self, statement: Statement) -> Result:
        """Run a statement in the open transaction."""
        return _result(self._begun.execute(_statement(statement)))

    def commit(self) -> None:
        """Commit the open transaction; durable on return."""
        transaction, self._transaction = self._begun, None
        self._remember(transaction.commit())

    def rollback(self) -> None:
        """Take the open transaction back, if there is one."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.rollback()

    def interrupt(self) -> None:
        """End the query that runs; a write runs to its end."""
        with self._lock:
            if self._reading is not None:
                self._interrupted = True
                self._reading.interrupt()

    def close(self) -> None:
        """Take back what is not committed; a query of another thread ends."""
        self.interrupt()
        self.let_go()
        self.rollback()

    @property
    def _begun(self) -> InteractiveTransaction:
        assert self._transaction is not None, "whoever asks began a transaction"
        return self._transaction

    @contextmanager
    def _noted(self, reader: apsw.Connection | View) -> Iterator[None]:
        """What `interrupt` interrupts as long as the context lives."""
        self._interrupted = False
        self._reading = reader
        try:
            yield
        finally:
            with self._lock:
                self._reading = None

    def _remember(self, answer: work.Answer) -> None:
        if answer.position is not None:
            self._last_position = answer.position


def _statement(statement: Statement) -> results.Statement:
    return results.Statement(statement.sql, statement.params, statement.many)


def _result(result: results.StatementResult) -> Result:
    return Result(
        result.columns,
        iter(result.rows),
        result.rows_affected,
        result.last_insert_rowid,
        result.decltypes,
    )
