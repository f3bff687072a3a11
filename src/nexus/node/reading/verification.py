"""Prove equality: hash every table as it stands at a mark in the log.

A mark is an entry, so it reaches every node in order. The thread that has just
applied it pins a reader there and goes on; the hashing reads that snapshot, while
readers and writers go on.
"""

import threading
from collections import OrderedDict
from concurrent.futures import Executor
from contextlib import ExitStack
from typing import Final

import apsw

from nexus.errors import NexusError, NotFoundError, StorageError
from nexus.model.operation import Fingerprint
from nexus.model.position import Offset
from nexus.storage.database import Database
from nexus.storage.fingerprint import Fingerprints, fingerprint

KEPT_RESULTS: Final = 16
"""Verifications that can still be asked for."""

MOST_AT_ONCE: Final = 2
"""Pinned snapshots: each holds back the checkpoint while it is hashed."""


class Verifications:
    """The hashes of the last marks; safe from any thread."""

    def __init__(self, database: Database, executor: Executor) -> None:
        self._database = database
        self._executor = executor
        self._lock = threading.Lock()
        self._running: dict[Offset, apsw.Connection | None] = {}
        """Each with its connection once that is pinned."""
        self._results: OrderedDict[Offset, Fingerprints | NexusError] = OrderedDict()

    def pin(self, mark: Fingerprint, offset: Offset) -> None:
        """Called on the writer's thread when the database stands at `offset`."""
        with self._lock:
            if len(self._running) >= MOST_AT_ONCE:
                self._keep(
                    offset,
                    NotFoundError(
                        f"verification {mark.request_id} at offset {offset} was not "
                        f"done here: {MOST_AT_ONCE} others were running; ask again"
                    ),
                )
                return
            self._running[offset] = None
        stack = ExitStack()
        try:
            reader = stack.enter_context(self._database.extra_reader())
            reader.execute("begin")
            reader.execute("select count(*) from sqlite_schema").fetchall()
        except Exception as error:  # noqa: BLE001 - whoever wrote the mark goes on
            stack.close()
            self._finish(offset, _failure(error))
            return
        self._running[offset] = reader

        def hash_tables() -> None:
            result: Fingerprints | NexusError
            with stack:
                try:
                    result = fingerprint(reader)
                except Exception as error:  # noqa: BLE001 - whoever asks is told
                    result = _failure(error)
                self._finish(offset, result)

        self._executor.submit(hash_tables)

    def result(self, offset: Offset) -> Fingerprints | None:
        """The hashes at this mark; None while they are made or the mark is to come.

        Raises NotFoundError for an offset that is no mark known here.
        """
        is_to_come = offset > self._database.position.offset
        with self._lock:
            if is_to_come or offset in self._running:
                return None
            found = self._results.get(offset)
        if found is None:
            raise NotFoundError(
                f"there is no verification at offset {offset} on this node"
            )
        if isinstance(found, NexusError):
            raise found
        return found

    def close(self) -> None:
        """End the hashing that runs, however much is left of it."""
        with self._lock:
            for reader in self._running.values():
                if reader is not None:
                    reader.interrupt()

    def _finish(self, offset: Offset, result: Fingerprints | NexusError) -> None:
        with self._lock:
            self._running.pop(offset, None)
            self._keep(offset, result)

    def _keep(self, offset: Offset, result: Fingerprints | NexusError) -> None:
        self._results[offset] = result
        while len(self._results) > KEPT_RESULTS:
            self._results.popitem(last=False)


def _failure(error: Exception) -> NexusError:
    if isinstance(error, NexusError):
        return error
    return StorageError(f"the tables could not be hashed here: {error}")
