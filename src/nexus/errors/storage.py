"""What the disk, or what stands on it, did."""

from nexus.errors.base import NexusError


class StorageError(NexusError):
    """The disk failed, or does not hold what was written to it."""

    code = "storage"


class CorruptLogError(StorageError):
    """A record that was durable is not valid any more; names file and byte."""

    code = "log_corrupt"


class LogGapError(StorageError):
    """The log does not hold the entries asked for; a full sync is the mend."""

    code = "log_gap"


class SnapshotError(StorageError):
    """The archive is damaged, hostile or of another cluster; nothing was installed."""

    code = "snapshot_invalid"


class DiskFullError(StorageError):
    """No space left on the device; nothing was acknowledged."""

    code = "disk_full"


class DataDirectoryLockedError(StorageError):
    """Another process owns this data directory."""

    code = "data_directory_locked"


class SecondSQLiteError(StorageError):
    """A second SQLite in this process opened the database and broke its locks."""

    code = "second_sqlite"


class ForkedError(StorageError):
    """A node or connection was used in a child after fork()."""

    code = "forked"


class ForeignWriteError(StorageError):
    """Another process wrote to the database file, past the log."""

    code = "foreign_write"


class RewindError(StorageError):
    """Entries cannot be taken back from this database; a full sync is the mend."""

    code = "rewind"


class ApplyError(StorageError):
    """An entry cannot be applied to this database; a full sync is the mend."""

    code = "apply"


class ApplyConflictError(ApplyError):
    """A change does not fit the rows here; `table` and `key` name the row."""

    code = "apply_conflict"

    def __init__(self, message: str, *, table: str, key: str) -> None:
        super().__init__(message)
        self.table = table
        self.key = key


class SchemaMismatchError(ApplyError):
    """An entry was made under another schema than this database has."""

    code = "schema_mismatch"


class ArchiveError(StorageError):
    """The archive does not hold what was asked for, or not clearly."""

    code = "archive"


class ArchiveUnavailableError(ArchiveError):
    """The archive's store refused, or did not answer; trying again may help."""

    code = "archive_unavailable"


class ArchiveIncompleteError(ArchiveError):
    """Objects are missing or damaged that the moment needs; they are named."""

    code = "archive_incomplete"
