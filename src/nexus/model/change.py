"""One change of a committed transaction, as consumers of the change feed read it."""

from typing import Any, Literal

import msgspec

from nexus.model.position import Epoch, HistoryId, Offset, Position

ChangeKind = Literal[
    "insert", "update", "delete", "schema", "sequence", "pragma", "heartbeat"
]


class TableShape(msgspec.Struct, frozen=True):
    """A table's columns, as its changes name them."""

    columns: tuple[str, ...]
    key: tuple[str, ...]


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row's change, or what else the transaction did; in the order of the log.

    A `heartbeat` changes nothing: it tells that the feed lives, and how far it is.
    """

    op: ChangeKind
    id: str
    """Where to go on after this change (`since`): see `Place`."""
    epoch: int
    offset: int
    index: int = -1
    """Its place among the changes of its transaction, those filtered out included; of a
    heartbeat -1."""
    last: bool = False
    """Whether the transaction is complete with it, as far as the filter shows it."""
    timestamp_us: int = 0
    """When the transaction was captured, microseconds since 1970."""
    transaction_id: str = ""
    table: str = ""
    key: dict[str, Any] | None = None
    """The row's key before the change; `_rowid_` in a table without a key."""
    old: dict[str, Any] | int | None = None
    """A deleted row; of an updated one the columns that changed; a counter or setting
    before."""
    new: dict[str, Any] | int | None = None
    """An inserted row; of an updated one the columns that changed; a counter or
    setting after."""
    sql: str = ""
    """The schema statement."""
    tables: dict[str, TableShape | None] | None = None
    """The tables whose columns the statement has changed, as they are now; null: it
    is gone."""
    name: str = ""
    """The pragma."""


class Place(msgspec.Struct, frozen=True):
    """Up to where a consumer has read; printed and parsed as in `Change.id`.

    `3:120@9f86d081` is behind entry 120 of that history, `3:120@9f86d081/4` behind the
    change with index 4 within it. `120` alone is any history's.
    """

    position: Position
    index: int | None = None
    """The change within the entry; None: all of it was read."""

    def _printed(self) -> str:
        behind = "" if self.index is None else f"/{self.index}"
        position = self.position
        if not position.history_id:
            return f"{position.offset}{behind}"
        return f"{position}{behind}"

    __str__ = _printed

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read what `str` printed; raises ValueError for anything else."""
        whole, slash, index = text.partition("/")
        if slash and not (index.isascii() and index.isdecimal()):
            raise ValueError(f"{text!r} is no place like 120, 3:120@9f86d081 or …/4")
        behind = int(index) if slash else None
        if whole.isascii() and whole.isdecimal():
            return cls(Position(Epoch(0), Offset(int(whole)), HistoryId("")), behind)
        try:
            position = Position.parse(whole)
        except ValueError:
            raise ValueError(
                f"{text!r} is no place like 120, 3:120@9f86d081 or 3:120@9f86d081/4"
            ) from None
        return cls(position, behind)

    @property
    def next_offset(self) -> Offset:
        """The entry to be read next."""
        return Offset(self.position.offset + (self.index is None))

    @property
    def next_index(self) -> int:
        """The first change of that entry that was not read yet."""
        return 0 if self.index is None else self.index + 1
