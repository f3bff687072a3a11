"""The transaction of one stream: what it holds of the node, and how it ends.

One that has only read holds a state of the database; one that writes holds the writer.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import Enum, auto

import apsw

from nexus.errors import (
    NexusError,
    RefusedStatementError,
    StatementError,
    TransactionExpiredError,
)
from nexus.errors.sqlite import overtaken
from nexus.model.statements import StatementKind, classify, savepoint_name
from nexus.node.reading.viewing import Viewing
from nexus.node.reading.views import View, Views
from nexus.node.transactions import TransactionManager
from nexus.node.writing.interactive import InteractiveTransaction
from nexus.node.writing.work import Interactive
from nexus.storage.capturing.results import Statement, StatementResult
from nexus.storage.database import Database


class State(Enum):
    """Where a stream stands."""

    AUTOCOMMIT = auto()
    """Each statement is a transaction of its own."""
    READING = auto()
    """In a transaction that has only read; it may take the writer."""
    READ_ONLY = auto()
    """In one that may not."""
    WRITING = auto()
    """In one that holds the writer."""
    LOST = auto()
    """In one that the node has taken back; the client is to end it."""


@dataclass(frozen=True, slots=True)
class StreamHost:
    """What a stream needs of its node."""

    database: Database
    views: Views
    threads: Executor
    """For what blocks."""
    writer: Callable[[], TransactionManager]
    """The manager of writes; raises ReadOnlyReplicaError on a replica."""
    idle_limit_s: float
    """How long a transaction may stay idle."""


class StreamTransaction:
    """The one that is open, or none; belongs to one event loop."""

    def __init__(self, host: StreamHost, viewing: Viewing) -> None:
        self.state = State.AUTOCOMMIT
        self.writing: InteractiveTransaction | None = None
        """What holds the writer."""
        self.loss: NexusError | None = None
        """Why the node has taken it back."""
        self._host = host
        self._viewing = viewing
        self._view: View | None = None
        self._savepoints: list[str] | None = None
        """Of a transaction that began with SAVEPOINT and ends with its RELEASE."""
        self._timer: asyncio.TimerHandle | None = None

    async def take_writer(
        self, manager: TransactionManager, *, foreign_keys: bool
    ) -> InteractiveTransaction:
        """Wait for the writer; what was read must still be so."""
        writing = await manager.begin(
            Interactive(self._host.idle_limit_s, foreign_keys=foreign_keys)
        )
        view, now = self._view, self._host.database.position.offset
        if view is not None and view.offset != now:
            writing.give_up()
            raise overtaken()
        self._give_view_up()
        self.writing, self.state = writing, State.WRITING
        return writing

    def count_savepoints(self) -> None:
        """It began with a SAVEPOINT: it ends with the release of that."""
        self._savepoints = []

    async def view(self) -> View:
        """The state of the database that it reads."""
        if self._view is None:
            self._view = await self._viewing.open()
        return self._view

    async def ask(
        self, writing: InteractiveTransaction, statement: Statement
    ) -> StatementResult:
        """Run a statement on the writer; what the writer has ended is lost."""
        if writing.ended:
            self._lose(writing.end_error)
        try:
            return await writing.ask(statement)
        except (StatementError, RefusedStatementError):
            if writing.ended:  # OR ROLLBACK, RAISE(ROLLBACK)
                self.end()
            raise
        except NexusError as error:
            if writing.ended:
                self._lose(error)
            raise

    def is_released_by(self, statement: Statement) -> bool:
        """Whether the savepoint that began it, if one did, is gone now."""
        names = self._savepoints
        if names is None:
            return False
        kind = classify(statement.sql)
        if kind is StatementKind.SAVEPOINT:
            names.append(savepoint_name(statement.sql))
        elif kind in (StatementKind.RELEASE, StatementKind.ROLLBACK_TO):
            depth = len(names) - names[::-1].index(savepoint_name(statement.sql))
            del names[depth if kind is StatementKind.ROLLBACK_TO else depth - 1 :]
        return not names

    def end(self) -> None:
        """Without a commit, if there is something to commit."""
        self._give_view_up()
        writing, self.writing = self.writing, None
        self.state, self.loss, self._savepoints = State.AUTOCOMMIT, None, None
        if writing is not None:
            writing.give_up()

    def start_timer(self) -> None:
        """It is idle from now on: one that reads may be so for a limited time."""
        self.stop_timer()
        if self._view is not None:
            self._timer = asyncio.get_running_loop().call_later(
                self._host.idle_limit_s, self._expire
            )

    def stop_timer(self) -> None:
        """It is idle no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_view_up(self) -> None:
        view, self._view = self._view, None
        if view is not None:
            self._viewing.give_up(view)

    def _lose(self, error: NexusError) -> None:
        self.end()
        self.state, self.loss = State.LOST, error
        raise error

    def _expire(self) -> None:
        """A transaction that only reads was idle for too long."""
        if self._view is not None:
            limit_s = self._host.idle_limit_s
            self.end()
            self.state = State.LOST
            self.loss = TransactionExpiredError(
                f"the transaction was idle for more than {limit_s:g} s and was given "
                "up; begin a new one"
            )


def refusal(message: str, code: int = apsw.SQLITE_ERROR) -> StatementError:
    """An error in SQLite's own words and with its code."""
    return StatementError(message, sqlite_errorcode=code)
