"""Keeps under `diverged/` what only this node has, before it is replaced."""

import asyncio
from collections.abc import Iterator

import structlog

from nexus.model.entry import Record
from nexus.model.position import EpochHistory, Offset, Position
from nexus.node.logreading import records_from
from nexus.node.parts import Parts
from nexus.replication.effects import Diverged
from nexus.storage.rewinding.diverged import Divergence
from nexus.storage.wal import WriteAheadLog

log = structlog.get_logger(__name__)


class Rescue:
    """Keeps entries as rows; and the database, if a snapshot is to replace it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._made: Divergence | None = None
        self._copied: Position | None = None
        """Where the database stood when it was kept: no need to do it again."""

    async def rows(self, history: EpochHistory, effect: Diverged) -> None:
        """Export the log's entries after the fork; durable on return."""
        parts = self._parts

        def export() -> Divergence:
            return parts.diverged.export(
                _records_after(parts.log, effect.after),
                history,
                after=effect.after,
                last=history.position_at(parts.log.last_offset),
                reason=effect.reason,
                dropped=max(0, parts.log.first_offset - effect.after - 1),
            )

        made = self._made = await asyncio.to_thread(export)
        log.warning(
            "diverged_kept", id=made.id, entries=made.entries, dropped=made.dropped
        )

    def database(self) -> None:
        """Keep the whole database if it holds such entries; durable on return.

        A schema statement says little as a row, and entries that the log has dropped
        already stand nowhere else. Raises StorageError; on the writer's thread.
        """
        made, database = self._made, self._parts.database
        if not database.stands or database.position == self._copied:
            return
        incomplete = self._parts.state.needs_full_sync
        if incomplete and made is None:
            made = self._parts.diverged.export(
                (),
                database.history(),
                after=database.position.offset,
                last=database.position,
                reason=incomplete,
            )
        if made is None:
            return
        if incomplete or database.position.offset > made.after_offset:
            copy = self._parts.diverged.keep_copy(database.path, made)
            self._copied = database.position
            log.warning("database_kept", id=made.id, file=str(copy))

    def done(self) -> None:
        """They are taken back, or replaced: what diverges from now on is new."""
        self._made = self._copied = None


def _records_after(wal: WriteAheadLog, after: Offset) -> Iterator[Record]:
    return records_from(wal, Offset(max(after + 1, wal.first_offset)))
