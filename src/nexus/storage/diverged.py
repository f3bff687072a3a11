"""Keep, as readable rows, the entries that no other node has."""

import base64
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec

from nexus.errors import NotFoundError
from nexus.model.entry import Record
from nexus.model.operation import Rows
from nexus.model.position import EpochHistory, Offset


class Divergence(msgspec.Struct, frozen=True):
    """One set of entries that was taken back."""

    id: str
    created_us: int
    after_offset: int
    """The last offset that was kept."""
    entries: int
    reason: str


class DivergedStore:
    """JSON lines under `diverged/`, one file for each divergence."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def export(
        self,
        records: Iterable[Record],
        history: EpochHistory,
        *,
        after: Offset,
        reason: str,
    ) -> Divergence:
        """Write these entries as rows; durable on return."""
        found_id = f"{int(time.time())}-{uuid.uuid4().hex[:8]}"
        path = self._directory / f"{found_id}.jsonl"
        entries = 0
        with path.open("wb") as file:
            for record in records:
                entries += 1
                for row in _rows_of(record, history):
                    file.write(msgspec.json.encode(row) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        made = Divergence(found_id, time.time_ns() // 1000, after, entries, reason)
        (self._directory / f"{found_id}.json").write_bytes(msgspec.json.encode(made))
        return made

    def list(self) -> list[Divergence]:
        """All of them, oldest first."""
        return sorted(
            (
                msgspec.json.decode(path.read_bytes(), type=Divergence)
                for path in self._directory.glob("*.json")
            ),
            key=lambda found: found.created_us,
        )

    def rows(self, diverged_id: str) -> Iterator[dict[str, Any]]:
        """The rows of one; raises NotFoundError."""
        if diverged_id not in {found.id for found in self.list()}:
            raise NotFoundError(f"there is no divergence {diverged_id!r} on this node")
        with (self._directory / f"{diverged_id}.jsonl").open("rb") as file:
            for line in file:
                yield msgspec.json.decode(line)


def _rows_of(record: Record, history: EpochHistory) -> Iterator[dict[str, Any]]:
    position = str(history.position_at(record.offset))
    for operation in record.decoded().operations:
        if not isinstance(operation, Rows):
            yield {
                "position": position,
                "op": type(operation).__name__.lower(),
                "detail": msgspec.to_builtins(operation),
            }
            continue
        for change in apsw.Changeset.iter(operation.changeset):
            values = change.old if change.old is not None else change.new
            yield {
                "position": position,
                "op": change.op.lower(),
                "table": change.name,
                "key": [_plain(values[i]) for i in sorted(change.pk_columns) if values],
                "old": _plain_row(change.old),
                "new": _plain_row(change.new),
            }


def _plain_row(values: tuple[Any, ...] | None) -> list[Any] | None:
    return None if values is None else [_plain(value) for value in values]


def _plain(value: Any) -> Any:
    """A value as JSON: blobs in base64, an unchanged column as {}."""
    if value is apsw.no_change:
        return {}
    if isinstance(value, bytes):
        return {"$blob": base64.b64encode(value).decode()}
    return value
