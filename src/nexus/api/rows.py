"""What a client is told of one kind of error; here, of what disk and archive did."""

from typing import Final

import msgspec

from nexus import errors


class Row(msgspec.Struct, frozen=True):
    """What a client is told of one kind of error."""

    status: int
    title: str
    what_to_do: str
    retry_after_s: int = 0
    """Seconds for the Retry-After header; 0: no header."""


READ_LOG: Final = "Read this node's log and its GET /replication/status."

STORAGE: Final[dict[type[errors.NexusError], Row]] = {
    errors.StorageError: Row(500, "The disk failed", READ_LOG),
    errors.CorruptLogError: Row(
        500, "The log is damaged", "Have this node do a full sync, and check its disk."
    ),
    errors.LogGapError: Row(
        410, "The log no longer holds it", "Start from a snapshot instead."
    ),
    errors.SnapshotError: Row(
        500, "The snapshot cannot be trusted", "Make a new one, and check the disk."
    ),
    errors.ArchiveError: Row(
        409,
        "The archive does not hold it, or not clearly",
        "Compare with `nexus backup list`; the detail names what it holds.",
    ),
    errors.ArchiveUnavailableError: Row(
        502,
        "The archive's store does not answer",
        "Check its address, its credentials and the network; it is tried again.",
    ),
    errors.ArchiveIncompleteError: Row(
        500,
        "The archive lacks what is needed",
        "Restore another moment; a new snapshot makes the archive whole from now on.",
    ),
    errors.DiskFullError: Row(
        507, "No space left", "Nothing was written. Free space on the node's disk."
    ),
    errors.DataDirectoryLockedError: Row(
        500,
        "The data directory is taken",
        "Stop the other process, or name another directory.",
    ),
    errors.SecondSQLiteError: Row(
        500,
        "A second SQLite in the process",
        "Use Nexus's connections in this process, not sqlite3; start it again.",
    ),
    errors.ForkedError: Row(
        500, "Used after fork()", "Open a node of its own in the child process."
    ),
    errors.ForeignWriteError: Row(
        500,
        "Somebody else wrote to the database file",
        "Stop the other writer, then have this node do a full sync.",
    ),
    errors.RewindError: Row(
        500, "Entries cannot be taken back", "A full sync of this replica mends it."
    ),
    errors.ApplyError: Row(
        500, "An entry does not fit", "A full sync of this replica mends it."
    ),
    errors.ApplyConflictError: Row(
        500, "An entry does not fit its row", "A full sync of this replica mends it."
    ),
    errors.SchemaMismatchError: Row(
        500, "An entry of another schema", "A full sync of this replica mends it."
    ),
}
