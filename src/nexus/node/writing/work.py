"""What a job may ask of the writer, and what a transaction is answered."""

from collections.abc import Callable
from typing import Any

import msgspec

from nexus.model.cluster import Outcome
from nexus.model.position import Position
from nexus.storage.capturing.results import Statement, StatementResult


class Transaction(msgspec.Struct, frozen=True):
    """What one client wants done at once."""

    statements: tuple[Statement, ...]
    transaction_id: str = ""
    foreign_keys: bool = True
    """False: without enforcement, as schema migrations ask; runs in a batch alone."""


class Answer(msgspec.Struct, frozen=True):
    """What became of a transaction.

    `position` is where it stands in the log, or None if it changed nothing and so
    took no offset.
    """

    results: list[StatementResult]
    position: Position | None
    outcome: Outcome = Outcome.COMMITTED
    durable_on: int = 1


class Errand(msgspec.Struct, frozen=True):
    """Something else to be done by the writer thread, between two batches."""

    run: Callable[[], Any]
    logs: bool = False
    """Whether it takes an offset: then it is refused where transactions are."""


class Interactive(msgspec.Struct, frozen=True):
    """A client wants the writer for several statements."""

    idle_limit_s: float
    """Whoever leaves it idle for longer loses it, rolled back."""
    foreign_keys: bool = True
    transaction_id: str = ""
