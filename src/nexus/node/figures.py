"""How much a node holds and who is connected, looked up for one scrape."""

import os
from collections import Counter

import msgspec

from nexus.node.parts import Parts


class Figures(msgspec.Struct, frozen=True):
    """Sizes and counts of one moment."""

    log_entries: int
    log_bytes: int
    """On the disk, what is preallocated included."""
    database_bytes: int
    database_wal_bytes: int
    """Of SQLite's own write-ahead log, beside the database."""
    disk_free_bytes: int
    """What this process may still write where the data directory is."""
    disk_bytes: int
    snapshot_received_bytes: int
    """Of the full sync under way; 0 where there is none."""
    snapshot_expected_bytes: int
    """Of all of it; 0 while its end is not known yet."""
    connections: dict[str, int]
    """By kind: `node`, `client`."""
    lacks_quorum: bool
    """Whether a master refuses writes because too few nodes are there."""
    witness_full: bool
    """Whether a witness's log has reached its cap."""
    rejections: Counter[str]
    """Connections of the replication port that were refused, by reason."""


def figures_of(
    parts: Parts, clients: int, *, lacks_quorum: bool, witness_full: bool
) -> Figures:
    """Look them up; asks the disk, so it may block."""
    directory = parts.storage.directory
    disk = os.statvfs(directory.root)
    received, expected = parts.receiver.progress
    return Figures(
        log_entries=parts.log.entry_count,
        log_bytes=parts.log.size_bytes,
        database_bytes=_size(directory.database),
        database_wal_bytes=_size(f"{directory.database}-wal"),
        disk_free_bytes=disk.f_bavail * disk.f_frsize,
        disk_bytes=disk.f_blocks * disk.f_frsize,
        snapshot_received_bytes=received,
        snapshot_expected_bytes=expected,
        connections={"node": parts.publisher.link_count, "client": clients},
        rejections=parts.port.rejections,
        lacks_quorum=lacks_quorum,
        witness_full=witness_full,
    )


def _size(path: "os.PathLike[str] | str") -> int:
    # Never opened here: closing any descriptor of it would drop SQLite's locks.
    try:
        return os.stat(path).st_size  # noqa: PTH116 - one call for both kinds
    except FileNotFoundError:
        return 0
