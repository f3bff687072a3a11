"""Every error that a caller may catch, each with a stable code.

    NexusError
    ├── ConfigurationError           the operator's: a key, a value, a combination
    ├── TransactionError             the client's transaction did not happen
    │   ├── StatementError           SQLite refused a statement
    │   │   └── ConstraintError      …because a constraint of the schema forbids it
    │   ├── RefusedStatementError    Nexus cannot replicate what the statement does
    │   ├── TransactionTooLargeError
    │   ├── AnswerTooLargeError      more rows than an answer may have
    │   ├── TransactionExpiredError  an interactive transaction idled too long
    │   ├── ReadOnlyReplicaError     the write belongs on the master
    │   ├── NoMasterError            there is no master to write to just now
    │   ├── QuorumLostError          too few replicas are there to hold a write
    │   ├── DatabaseBusyError        another process holds the lock for writing
    │   └── WritesStoppedError       this node takes no writes until an operator acts
    ├── OutcomeUnknownError          the write is in the log and may still commit
    ├── WrongRoleError               the call belongs on a node of another role
    ├── ClusterChangeError           the master or the members cannot change so now
    ├── NoDatabaseError              a new replica has received nothing to read yet
    ├── EtcdError                    etcd did not do what was asked, or perhaps did
    ├── NotAppliedError              this node is not as far yet as was asked for
    ├── ChangesGoneError             the change feed no longer reaches back so far
    ├── PositionLostError            a consumer has read what a failover took back
    ├── NotFoundError                no such snapshot, replica or divergence
    ├── RequestError                 a malformed request
    ├── ProtocolError                the peer sent what no correct peer sends
    ├── HandshakeRefusedError        the peers do not belong together
    ├── StorageError                 the disk, or what is on it
    │   ├── CorruptLogError
    │   ├── LogGapError              the log no longer (or not yet) holds the entry
    │   ├── SnapshotError            an archive that cannot be trusted
    │   ├── DiskFullError
    │   ├── DataDirectoryLockedError
    │   ├── SecondSQLiteError        another SQLite in this process broke the locks
    │   ├── ForkedError              a connection was carried across fork()
    │   ├── ForeignWriteError        somebody else wrote to the database file
    │   ├── RewindError              entries cannot be taken back here
    │   └── ApplyError               an entry does not fit the rows of this database
    │       ├── ApplyConflictError
    │       └── SchemaMismatchError
    └── NodeStoppedError             the node is shutting down or has failed

A message says what happened, what was found against what was expected, and what
to do.
"""

from typing import ClassVar


class NexusError(Exception):
    """Anything Nexus reports on purpose; `code` is stable across versions."""

    code: ClassVar[str] = "nexus"


class ConfigurationError(NexusError):
    """A setting is unknown, of a wrong type or impossible; nothing was started."""

    code = "configuration"


class TransactionError(NexusError):
    """The transaction did not happen: outcome `refused`, no offset was taken."""

    code = "transaction"


class StatementError(TransactionError):
    """SQLite refused a statement.

    `index` is the statement's place in its transaction, from 0; `sqlite_errorcode` is
    SQLite's extended code, or None where SQLite was not asked; `error_offset` is the
    byte of the statement's UTF-8 text at which SQLite met the error, or None where it
    does not say (https://sqlite.org/c3ref/errcode.html).
    """

    code = "sql"

    def __init__(
        self,
        message: str,
        *,
        index: int = 0,
        sqlite_errorcode: int | None = None,
        error_offset: int | None = None,
    ) -> None:
        super().__init__(message)
        self.index = index
        self.sqlite_errorcode = sqlite_errorcode
        self.error_offset = error_offset


class ConstraintError(StatementError):
    """A constraint of the schema (UNIQUE, NOT NULL, CHECK, foreign key) failed."""

    code = "constraint"


class RefusedStatementError(TransactionError):
    """The statement would break replication; the message says why and what to do."""

    code = "statement_refused"

    def __init__(self, message: str, *, index: int = 0) -> None:
        super().__init__(message)
        self.index = index


class TransactionTooLargeError(TransactionError):
    """The transaction's changes exceed the limit; it left no trace."""

    code = "transaction_too_large"

    def __init__(self, *, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the transaction's changes take {size_bytes} bytes, the limit is "
            f"{limit_bytes}; split it into smaller transactions"
        )
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class AnswerTooLargeError(TransactionError):
    """The rows of an answer exceed its limit; the transaction goes on without them."""

    code = "answer_too_large"


class TransactionExpiredError(TransactionError):
    """An interactive transaction idled past its limit and was rolled back."""

    code = "transaction_expired"


class ReadOnlyReplicaError(TransactionError):
    """This node is a replica; `master_url` (or "") names the node to write to."""

    code = "read_only_replica"

    def __init__(self, message: str, *, master_url: str = "") -> None:
        super().__init__(message)
        self.master_url = master_url


class NoMasterError(TransactionError):
    """No master is known just now; nothing happened, so a retry is safe."""

    code = "no_master"


class WritesStoppedError(TransactionError):
    """This node stopped taking writes; the message says why and what ends it."""

    code = "writes_stopped"


class QuorumLostError(TransactionError):
    """Too few replicas are there to hold a write; nothing happened, retry later."""

    code = "quorum_lost"


class DatabaseBusyError(TransactionError):
    """Another process holds the lock for writing; nothing happened, retry later."""

    code = "database_busy"


class OutcomeUnknownError(NexusError):
    """The write stands in the log at `offset` and may still commit.

    Retry with the same transaction id: it is not done twice.
    """

    code = "outcome_unknown"

    def __init__(self, message: str, *, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class WrongRoleError(NexusError):
    """The call belongs on a node of another role, which the message names."""

    code = "wrong_role"


class ClusterChangeError(NexusError):
    """The cluster's master or members cannot change so now; the message says why."""

    code = "cluster_change"


class NoDatabaseError(NexusError):
    """This node has no database yet: its master's first snapshot or entry makes it."""

    code = "no_database"


class EtcdError(NexusError):
    """Etcd does not answer, or refuses; the outcome of a change is unknown."""

    code = "etcd"


class NotAppliedError(NexusError):
    """This node has not applied the entry of `min_offset` in time; nothing happened."""

    code = "not_applied"


class ChangesGoneError(NexusError):
    """The changes asked for are no longer retained; `oldest_offset` is the oldest."""

    code = "changes_gone"

    def __init__(self, message: str, *, oldest_offset: int) -> None:
        super().__init__(message)
        self.oldest_offset = oldest_offset


class PositionLostError(NexusError):
    """A consumer of changes has read entries that the history no longer holds.

    `resume_from` is the place up to which both agree, or "" where none is known.
    """

    code = "position_lost"

    def __init__(self, message: str, *, resume_from: str = "") -> None:
        super().__init__(message)
        self.resume_from = resume_from


class NotFoundError(NexusError):
    """No such snapshot, replica, divergence or verification."""

    code = "not_found"


class RequestError(NexusError):
    """A malformed request; the message names the field and the mend."""

    code = "bad_request"


class ProtocolError(NexusError):
    """The peer sent a frame or message that no correct peer sends.

    `code_sent` is the code of the `Error` frame that ends the connection.
    """

    code = "protocol"


class HandshakeRefusedError(NexusError):
    """The peers do not belong together; `reason` is an `ErrorCode` value."""

    code = "handshake_refused"

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class StorageError(NexusError):
    """The disk failed, or what stands on it is not what was written."""

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


class NodeStoppedError(NexusError):
    """The node is stopping or has failed; nothing more is accepted."""

    code = "node_stopped"
