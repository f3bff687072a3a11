"""What SQL gave, wherever it was run."""

from typing import Any

import msgspec


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
