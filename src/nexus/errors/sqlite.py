"""What is told in SQLite's own words and with its codes, where SQLite was not asked."""

from typing import Final

from nexus.errors.transactions import StatementError

INTERRUPT: Final = 9
"""https://www.sqlite.org/rescode.html#interrupt"""

BUSY_SNAPSHOT: Final = 517
"""https://www.sqlite.org/rescode.html#busy_snapshot"""


def interrupted(index: int = 0) -> StatementError:
    """The statement of that place was stopped by its client before it was done."""
    return StatementError("interrupted", index=index, sqlite_errorcode=INTERRUPT)


def overtaken() -> StatementError:
    """Others have written since the state that a transaction reads from."""
    return StatementError(
        "database is locked: others have written since this transaction read; take it "
        "back and begin it again, with BEGIN IMMEDIATE",
        sqlite_errorcode=BUSY_SNAPSHOT,
    )
