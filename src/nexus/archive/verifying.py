"""Prove that an archive can be restored: restore it, and look at every page of it."""

import shutil
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from nexus.archive.restoring import Moment, Restored, restore
from nexus.archive.stores import Store
from nexus.errors import ArchiveIncompleteError
from nexus.storage.directory import DataDirectory
from nexus.storage.fingerprint import Fingerprints, fingerprint
from nexus.storage.sqlite.connections import open_reader
from nexus.storage.sqlite.functions import NO_FUNCTIONS, Functions


@dataclass(frozen=True, slots=True)
class Verified:
    """What was restored, and what its tables hash to."""

    restored: Restored
    prints: Fingerprints


def verify(
    store: Store,
    moment: Moment,
    *,
    max_size: int,
    work: Path | None = None,
    functions: Functions = NO_FUNCTIONS,
) -> Verified:
    """Restore a moment to a directory below `work`, check it, and leave nothing.

    Raises what `restore` does, and ArchiveIncompleteError for a database that SQLite
    finds fault with.
    """
    place = Path(tempfile.mkdtemp(prefix="nexus-verify-", dir=work))
    try:
        target = place / "restored"
        restored = restore(
            store, target, moment, max_size=max_size, functions=functions
        )
        with closing(open_reader(DataDirectory(target).database, functions)) as reader:
            found = reader.execute("pragma integrity_check").fetchall()
            if found != [("ok",)]:
                raise ArchiveIncompleteError(
                    f"what {store.url} holds at entry {restored.position.offset} was "
                    f"restored, and SQLite finds fault with it: {found[0][0]}"
                )
            reader.execute("begin")
            return Verified(restored, fingerprint(reader))
    finally:
        shutil.rmtree(place, ignore_errors=True)
