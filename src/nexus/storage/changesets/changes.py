"""Read and write changesets byte for byte, text that is not UTF-8 included.

SQLite stores any bytes as text, and a changeset carries them as they are; Python's
`str` cannot, unless they are escaped (PEP 383). So here text is a `str` in which each
byte that is not UTF-8 stands as a lone surrogate. The format is told in
https://sqlite.org/src/file?name=ext/session/sqlite3session.c, "CHANGESET FORMAT".
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import apsw
import msgspec

from nexus.model.statements import quote
from nexus.storage.changesets.conflicts import same_value

Row = tuple[Any, ...]

_UNCHANGED, _INTEGER, _REAL, _TEXT, _BLOB, _NULL = range(6)

_ESCAPE: Final = "surrogateescape"
_TEXT_FOLLOWS: Final = bytes((_TEXT,))

_pack_integer: Final = struct.Struct(">bq").pack
_pack_real: Final = struct.Struct(">bd").pack


class Change(msgspec.Struct, frozen=True):
    """One row's change; `apsw.no_change` stands where an UPDATE leaves a column."""

    table: str
    opcode: int
    """SQLITE_INSERT, SQLITE_UPDATE or SQLITE_DELETE."""
    indirect: bool
    key_columns: tuple[int, ...]
    old: Row | None
    new: Row | None
    header: bytes
    """What introduces the table's changes in a changeset."""
    raw: bytes
    """The change itself, as it stands there."""

    @property
    def row(self) -> Row:
        """The old row, or the new one of an INSERT."""
        row = self.new if self.old is None else self.old
        assert row is not None, "a change has an old row or a new one"
        return row

    @property
    def key(self) -> Row:
        """The row's key before the change."""
        return tuple(self.row[column] for column in self.key_columns)


def read_changes(changeset: bytes) -> Iterator[Change]:
    """The changes of a changeset that SQLite has made."""
    at, header, table, keys = 0, b"", "", bytearray()
    while at < len(changeset):
        start = at
        if changeset[at : at + 1] == b"T":
            columns, at = _read_size(changeset, at + 1)
            keys = bytearray(changeset[at : at + columns])
            end = changeset.index(b"\0", at + columns)
            table = changeset[at + columns : end].decode()
            at = end + 1
            header = changeset[start:at]
            continue
        opcode, indirect = changeset[at], changeset[at + 1]
        at += 2
        old = new = None
        if opcode != apsw.SQLITE_INSERT:
            old, at = _read_row(changeset, at, len(keys))
        if opcode != apsw.SQLITE_DELETE:
            new, at = _read_row(changeset, at, len(keys))
        yield Change(
            table,
            opcode,
            bool(indirect),
            tuple(column for column, is_key in enumerate(keys) if is_key),
            old,
            new,
            header,
            changeset[start:at],
        )


def write_changes(changes: Iterable[Change]) -> bytes:
    """The same changes as a changeset; those of one table stand together."""
    written = bytearray()
    header = b""
    for change in changes:
        if change.header != header:
            header = change.header
            written += header
        written += change.raw
    return bytes(written)


def deletion(change: Change, row: Row) -> Change:
    """The deletion of this whole row instead of the change."""
    deleted = bytes((apsw.SQLITE_DELETE, change.indirect))
    raw = deleted + b"".join(map(encode_value, row))
    return msgspec.structs.replace(
        change, opcode=apsw.SQLITE_DELETE, old=row, new=None, raw=raw
    )


def insertion(change: Change, row: Row) -> Change:
    """The insertion of this whole row instead of the change."""
    raw = bytes((apsw.SQLITE_INSERT, change.indirect)) + b"".join(
        map(encode_value, row)
    )
    return msgspec.structs.replace(
        change, opcode=apsw.SQLITE_INSERT, old=None, new=row, raw=raw
    )


def update(change: Change, before: Row, after: Row) -> Change:
    """The update of one whole row to another with its key instead of the change."""
    old: list[Any] = [apsw.no_change] * len(before)
    new = old.copy()
    for column, (was, now) in enumerate(zip(before, after, strict=True)):
        if not same_value(was, now):
            old[column], new[column] = was, now
        elif column in change.key_columns:
            old[column] = was
    raw = bytes((apsw.SQLITE_UPDATE, change.indirect))
    raw += b"".join(map(encode_value, (*old, *new)))
    return msgspec.structs.replace(
        change, opcode=apsw.SQLITE_UPDATE, old=tuple(old), new=tuple(new), raw=raw
    )


def encode_header(table: str, columns: Sequence[str], key: Sequence[str]) -> bytes:
    """What introduces a table's changes; `columns` are the stored ones, in order."""
    places = bytes(key.index(name) + 1 if name in key else 0 for name in columns)
    return b"T" + _encode_size(len(columns)) + places + table.encode() + b"\0"


def encode_value(value: Any) -> bytes:
    """One column of a change."""
    if isinstance(value, int):
        return _pack_integer(_INTEGER, value)
    if isinstance(value, str):
        content = value.encode("utf-8", _ESCAPE)
        return _TEXT_FOLLOWS + _encode_size(len(content)) + content
    if isinstance(value, float):
        return _pack_real(_REAL, value)
    if value is None or value is apsw.no_change:
        return bytes((_NULL if value is None else _UNCHANGED,))
    return b"%c%b%b" % (_BLOB, _encode_size(len(value)), value)


def fetch_exactly(
    connection: apsw.Connection, columns: Sequence[str], rest: str, values: Row = ()
) -> list[Row]:
    """`select columns rest`, with text as it is here; `columns` are expressions."""
    bound = tuple(map(to_bind, values))
    try:
        sql = f"select {', '.join(columns)} {rest}"
        return connection.execute(sql, bound).fetchall()
    except UnicodeDecodeError:
        sql = f"select {', '.join(map(exactly, columns))} {rest}"
        rows: list[Row] = connection.execute(sql, bound).fetchall()
    return [tuple(map(_from_pair, row[::2], row[1::2])) for row in rows]


def exactly(column: str) -> str:
    """Two expressions for one: its type, and its value with text as bytes."""
    value = f"iif(typeof({column}) = 'text', cast({column} as blob), {column})"
    return f"typeof({column}), {value}"


def matching(columns: Sequence[str], values: Row) -> str:
    """A condition: these columns have the values that are bound."""
    return " and ".join(
        f"{quote(column)} = {place(value)}"
        for column, value in zip(columns, values, strict=True)
    )


def place(value: Any) -> str:
    """Where a value is bound: text that is no UTF-8 can only be bound as a blob."""
    return "cast(? as text)" if is_escaped(value) else "?"


def to_bind(value: Any) -> Any:
    """What apsw is to bind at `place(value)`."""
    return value.encode(errors=_ESCAPE) if is_escaped(value) else value


def is_escaped(value: Any) -> bool:
    """Whether this is text that is not UTF-8."""
    if type(value) is not str or value.isascii():
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def from_text(text: bytes) -> str:
    """Text as SQLite keeps it."""
    return text.decode(errors=_ESCAPE)


def _from_pair(kind: str, value: Any) -> Any:
    return from_text(value) if kind == "text" else value


def _read_row(changeset: bytes, at: int, columns: int) -> tuple[Row, int]:
    row: list[Any] = []
    for _ in range(columns):
        kind = changeset[at]
        at += 1
        if kind in (_INTEGER, _REAL):
            code = ">q" if kind == _INTEGER else ">d"
            row.append(struct.unpack_from(code, changeset, at)[0])
            at += 8
        elif kind in (_TEXT, _BLOB):
            size, at = _read_size(changeset, at)
            value = changeset[at : at + size]
            row.append(from_text(value) if kind == _TEXT else value)
            at += size
        else:
            row.append(None if kind == _NULL else apsw.no_change)
    return tuple(row), at


def _read_size(changeset: bytes, at: int) -> tuple[int, int]:
    """A size, 7 bits a byte, the highest first; a change is far below nine bytes."""
    size = 0
    while True:
        byte = changeset[at]
        at += 1
        size = size << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004 - the last byte has no high bit
            return size, at


def _encode_size(size: int) -> bytes:
    if size < 0x80:  # noqa: PLR2004 - one byte, the usual case
        return bytes((size,))
    written = [size & 0x7F]
    while size := size >> 7:
        written.append(size & 0x7F | 0x80)
    return bytes(reversed(written))
