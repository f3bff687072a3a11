"""What a connection needs of whatever runs its statements.

A session is the near end of one place to read and write: a node in this process, the
files of a data directory, or a cluster over the network. It runs statements whose
parameters are bound by position and are SQLite's own five types; names, adapters,
converters and the rules of PEP 249 are the connection's matter.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol, runtime_checkable

import msgspec

from nexus.model.position import Position

Value = int | float | str | bytes | None
"""One value of SQLite's five types."""

TOO_BIG: Final = 18
"""https://www.sqlite.org/rescode.html#toobig"""

Row = tuple[Value, ...]
"""One row, or the parameters of one run of a statement."""


class Statement(msgspec.Struct, frozen=True):
    """One statement; with `many` it runs once for each set of parameters."""

    sql: str
    params: Row = ()
    many: Sequence[Row] | None = None


class Result(msgspec.Struct, frozen=True):
    """What one statement gave.

    `rows` may fetch as it goes: it is iterated once, and closed (`close()`, where it
    has one) if it is left half read.
    """

    columns: tuple[str, ...] = ()
    rows: Iterator[Row] = iter(())
    rows_affected: int = -1
    """-1 where SQLite does not count."""
    last_insert_rowid: int = 0
    decltypes: tuple[str | None, ...] = ()
    """As the columns were declared; None for an expression."""


@runtime_checkable
class Holding(Protocol):
    """A session that can answer several queries from one state of the database."""

    def hold(self) -> None:
        """Have `read` answer from the state as it is now, until `begin` or `let_go`.

        `begin` then raises StatementError (SQLITE_BUSY_SNAPSHOT), and goes on holding,
        if others have written since.
        """

    def let_go(self) -> None:
        """Have `read` see the last commit again."""


class Session(Protocol):
    """One client of a place to read and write; for one thread at a time.

    Every method raises NexusError, the client's own classes of errors never.
    """

    foreign_keys: bool
    """Whether the next `begin` or `run` enforces them."""

    @property
    def last_position(self) -> Position | None:
        """Where the last committed write of this session stands in the log."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open; False once the node has ended it."""

    def read(self, statement: Statement) -> Result:
        """Run a query outside a transaction; sees this session's own writes."""

    def run(self, statements: Sequence[Statement]) -> list[Result]:
        """Run these as one transaction, all or nothing; durable on return."""

    def run_alone(self, statement: Statement) -> Result:
        """Run what no transaction can hold: VACUUM, ANALYZE, a PRAGMA that sets."""

    def begin(self) -> None:
        """Begin a transaction: this session holds the writer until it ends."""

    def run_inside(self, statement: Statement) -> Result:
        """Run a statement in the open transaction, queries too.

        An error takes back this statement alone, unless `in_transaction` is False
        afterwards.
        """

    def commit(self) -> None:
        """Commit the open transaction; durable on return, however it ends it is over.

        Raises OutcomeUnknownError where nobody can tell.
        """

    def rollback(self) -> None:
        """Take the open transaction back; harmless where there is none."""

    def interrupt(self) -> None:
        """End the statement that runs, with an error; from any thread."""

    def close(self) -> None:
        """Take back what is not committed, and let go of everything."""
