"""Masters that archive, and what is in their archives."""

from pathlib import Path
from typing import Any

from archive.faulty import FaultyStore
from archive.keeping import MAX_SIZE, rows_in
from nexus.archive.directory import DirectoryStore
from nexus.archive.restoring import Moment, restore
from nexus.config.settings import ArchiveSettings
from nexus.model.cluster import ArchiveStatus
from nexus.node.backup.archiving import Archiving
from nexus.node.node import Node
from node.builders import Crowd, run, until

INTERVAL_MS = 40


async def archived(node: Node) -> ArchiveStatus:
    """Its status, once everything that it has committed is archived."""

    def is_whole() -> bool:
        status = node.status()
        archive = status.archive
        return archive is not None and archive.offset == status.applied_offset

    await until(is_whole)
    status = node.status().archive
    assert status is not None
    return status


def status_of(node: Node) -> ArchiveStatus:
    """Its archive's status, which it has."""
    status = node.status().archive
    assert status is not None
    return status


async def master_with(crowd: Crowd, url: object, name: str = "m", **flags: Any) -> Node:
    """A master that archives there, with a table."""
    flags.setdefault("archive__interval_ms", INTERVAL_MS)
    node = await crowd.node(name, archive__url=str(url), **flags)
    await run(node, "create table t(id integer primary key, v)")
    await until(lambda: node.status().archive is not None)
    return node


def restored(archive: Path, target: Path, moment: Moment | None = None) -> list[Any]:
    """The rows of a moment in an archive."""
    restore(DirectoryStore(archive), target, moment or Moment(), max_size=MAX_SIZE)
    return rows_in(target)


def faulty(node: Node, tmp_path: Path) -> FaultyStore:
    """The node's archive, from now on in a store that fails as it is told."""
    parts = node._parts
    assert parts.archiving is not None
    store = FaultyStore(DirectoryStore(tmp_path / "faulty"))
    parts.archiving.close()
    replaced = Archiving(
        store, parts.archiving._source, ArchiveSettings(interval_ms=INTERVAL_MS)
    )
    object.__setattr__(parts, "archiving", replaced)
    return store
