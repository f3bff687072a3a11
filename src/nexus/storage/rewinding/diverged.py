"""Keep, as readable rows, the entries that no other node has."""

import base64
import math
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Final

import apsw
import msgspec

from nexus.errors import NotFoundError
from nexus.model.entry import Record
from nexus.model.operation import Rows
from nexus.model.position import EpochHistory, Offset, Position
from nexus.storage.disk import storage_errors, sync_directory, sync_file
from nexus.storage.sqlite.connections import storage_error

COPIES_KEPT: Final = 3
"""Of whole databases; rows are kept for ever."""


class Divergence(msgspec.Struct, frozen=True):
    """One set of entries that was taken back."""

    id: str
    created_us: int
    after_offset: int
    """The last offset that was kept."""
    entries: int
    """Those whose rows are kept: all that the log held."""
    reason: str
    dropped: int = 0
    """Those that retention had dropped from the log: they stand in the copy alone."""
    last: str = ""
    """The position of the last of them."""
    copy: str = ""
    """The file of the whole database under `diverged/`, while it is kept."""


class DivergedStore:
    """JSON lines under `diverged/`, one file for each divergence."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for part in directory.glob("*.part"):
            part.unlink(missing_ok=True)  # a crash left it

    def export(
        self,
        records: Iterable[Record],
        history: EpochHistory,
        *,
        after: Offset,
        last: Position,
        reason: str,
        dropped: int = 0,
    ) -> Divergence:
        """Write these entries, up to the one at `last`, as rows; durable on return.

        Once: where a restart asks for the same ones again, those from before are
        returned. Raises StorageError, and leaves nothing then.
        """
        for found in self.list():
            if (found.after_offset, found.last) == (after, str(last)):
                return found
        found_id = f"{int(time.time())}-{uuid.uuid4().hex[:8]}"
        rows_part = self._directory / f"{found_id}.rows.part"
        facts_part = self._directory / f"{found_id}.part"
        try:
            with storage_errors("keeping diverged entries"):
                entries = _write_rows(rows_part, records, history)
                created_us = time.time_ns() // 1000
                made = Divergence(
                    found_id, created_us, after, entries, reason, dropped, str(last)
                )
                with facts_part.open("wb") as file:
                    file.write(msgspec.json.encode(made))
                    _sync(file)
                rows_part.rename(self._rows_path(found_id))
                facts_part.rename(self._directory / f"{found_id}.json")
                sync_directory(self._directory)
        finally:
            rows_part.unlink(missing_ok=True)
            facts_part.unlink(missing_ok=True)
        return made

    def keep_copy(self, database: Path, divergence: Divergence) -> Path:
        """Keep a whole database, as it stands, beside a divergence's rows.

        For entries that the log does not hold. Only the newest COPIES_KEPT stay, and
        one that is there already is left as it is. Durable on return. Raises
        StorageError.
        """
        copy = self._copy_path(divergence.id)
        if copy.exists():
            return copy
        part = copy.with_suffix(".part")
        try:
            with closing(
                apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
            ) as reader:
                reader.execute("vacuum into ?", (str(part),))
            with storage_errors(f"keeping {copy.name}"):
                with part.open("rb") as file:
                    sync_file(file.fileno())
                part.rename(copy)
                sync_directory(self._directory)
        except apsw.Error as error:
            raise storage_error(f"{database} cannot be kept", error) from error
        finally:
            part.unlink(missing_ok=True)
        for old in self.copies()[:-COPIES_KEPT]:
            old.unlink(missing_ok=True)
        return copy

    def copies(self) -> tuple[Path, ...]:
        """The databases that are kept, oldest first."""
        kept = self._directory.glob("*.db")
        return tuple(sorted(kept, key=lambda path: path.stat().st_mtime_ns))

    def list(self) -> list[Divergence]:
        """All of them, oldest first."""
        return sorted(
            map(self._read, self._directory.glob("*.json")),
            key=lambda found: found.created_us,
        )

    def rows(self, diverged_id: str) -> Iterator[dict[str, Any]]:
        """The rows of one; raises NotFoundError."""
        if diverged_id not in {found.id for found in self.list()}:
            raise NotFoundError(f"there is no divergence {diverged_id!r} on this node")
        return _lines(self._rows_path(diverged_id))

    def _read(self, path: Path) -> Divergence:
        found = msgspec.json.decode(path.read_bytes(), type=Divergence)
        copy = self._copy_path(found.id)
        kept = copy.name if copy.exists() else ""
        return msgspec.structs.replace(found, copy=kept)

    def _copy_path(self, found_id: str) -> Path:
        return self._directory / f"{found_id}.db"

    def _rows_path(self, found_id: str) -> Path:
        return self._directory / f"{found_id}.jsonl"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            yield msgspec.json.decode(line)


def _write_rows(path: Path, records: Iterable[Record], history: EpochHistory) -> int:
    """Durable on return; the number of entries."""
    entries = 0
    with path.open("wb") as file:
        for record in records:
            entries += 1
            for row in _rows_of(record, history):
                file.write(msgspec.json.encode(row) + b"\n")
        _sync(file)
    return entries


def _sync(file: BinaryIO) -> None:
    file.flush()
    sync_file(file.fileno())


def _rows_of(record: Record, history: EpochHistory) -> Iterator[dict[str, Any]]:
    position = str(history.position_at(record.offset))
    for operation in record.decoded().operations:
        if isinstance(operation, Rows):
            for change in apsw.Changeset.iter(operation.changeset):
                yield {"position": position, **_plain_change(change, operation)}
        else:
            yield {
                "position": position,
                "op": type(operation).__name__.lower(),
                "detail": msgspec.to_builtins(operation),
            }


def _plain_change(change: apsw.TableChange, operation: Rows) -> dict[str, Any]:
    """One row; with the whole changeset where its text is no UTF-8."""
    named = {"op": change.op.lower(), "table": change.name}
    try:
        old, new = change.old, change.new
    except UnicodeDecodeError:
        return {**named, "changeset": _plain(operation.changeset)}
    values = new if old is None else old
    assert values is not None, "a change has old values or new ones"
    return {
        **named,
        "key": [_plain(values[index]) for index in sorted(change.pk_columns)],
        "old": None if old is None else [_plain(value) for value in old],
        "new": None if new is None else [_plain(value) for value in new],
    }


def _plain(value: Any) -> Any:
    """A value as JSON: blobs in base64, infinity named, an unchanged column as {}."""
    if value is apsw.no_change:
        return {}
    if isinstance(value, bytes):
        return {"$blob": base64.b64encode(value).decode()}
    if isinstance(value, float) and math.isinf(value):
        return {"$real": str(value)}
    return value
