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
    │   ├── TransactionLostError     its node is gone; nothing of it happened
    │   ├── ReadOnlyReplicaError     the write belongs on the master
    │   ├── NoMasterError            there is no master to write to just now
    │   ├── QuorumLostError          too few replicas are there to hold a write
    │   ├── DatabaseBusyError        another process holds the lock for writing
    │   └── WritesStoppedError       this node takes no writes until an operator acts
    ├── OutcomeUnknownError          the write is in the log and may still commit
    ├── ForbiddenError               the token is of too small a role
    ├── RateLimitedError             the caller asks too often
    ├── TokenInDoubtError            the node cannot know yet whether it is good
    ├── WrongRoleError               the call belongs on a node of another role
    ├── ClusterChangeError           the master or the members cannot change so now
    ├── NoDatabaseError              a new replica has received nothing to read yet
    ├── EtcdError                    etcd did not do what was asked, or perhaps did
    ├── NotAppliedError              this node is not as far yet as was asked for
    ├── NodeUnreachableError         nobody answers there, or what does is no node
    ├── ConnectionLostError          the node went while it answered a query
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
    │   ├── ArchiveError             not in the backups, or not clearly
    │   │   ├── ArchiveUnavailableError  their store refuses, or does not answer
    │   │   └── ArchiveIncompleteError   objects are missing or damaged
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

from nexus.errors.base import (
    ConfigurationError,
    NexusError,
    NodeStoppedError,
)
from nexus.errors.calls import (
    ChangesGoneError,
    ClusterChangeError,
    ConnectionLostError,
    EtcdError,
    ForbiddenError,
    HandshakeRefusedError,
    NoDatabaseError,
    NodeUnreachableError,
    NotAppliedError,
    NotFoundError,
    PositionLostError,
    ProtocolError,
    RateLimitedError,
    RequestError,
    TokenInDoubtError,
    WrongRoleError,
)
from nexus.errors.storage import (
    ApplyConflictError,
    ApplyError,
    ArchiveError,
    ArchiveIncompleteError,
    ArchiveUnavailableError,
    CorruptLogError,
    DataDirectoryLockedError,
    DiskFullError,
    ForeignWriteError,
    ForkedError,
    LogGapError,
    RewindError,
    SchemaMismatchError,
    SecondSQLiteError,
    SnapshotError,
    StorageError,
)
from nexus.errors.transactions import (
    AnswerTooLargeError,
    ConstraintError,
    DatabaseBusyError,
    NoMasterError,
    OutcomeUnknownError,
    QuorumLostError,
    ReadOnlyReplicaError,
    RefusedStatementError,
    StatementError,
    TransactionError,
    TransactionExpiredError,
    TransactionLostError,
    TransactionTooLargeError,
    WritesStoppedError,
)

__all__ = [
    "AnswerTooLargeError",
    "ApplyConflictError",
    "ApplyError",
    "ArchiveError",
    "ArchiveIncompleteError",
    "ArchiveUnavailableError",
    "ChangesGoneError",
    "ClusterChangeError",
    "ConfigurationError",
    "ConnectionLostError",
    "ConstraintError",
    "CorruptLogError",
    "DataDirectoryLockedError",
    "DatabaseBusyError",
    "DiskFullError",
    "EtcdError",
    "ForbiddenError",
    "ForeignWriteError",
    "ForkedError",
    "HandshakeRefusedError",
    "LogGapError",
    "NexusError",
    "NoDatabaseError",
    "NoMasterError",
    "NodeStoppedError",
    "NodeUnreachableError",
    "NotAppliedError",
    "NotFoundError",
    "OutcomeUnknownError",
    "PositionLostError",
    "ProtocolError",
    "QuorumLostError",
    "RateLimitedError",
    "ReadOnlyReplicaError",
    "RefusedStatementError",
    "RequestError",
    "RewindError",
    "SchemaMismatchError",
    "SecondSQLiteError",
    "SnapshotError",
    "StatementError",
    "StorageError",
    "TokenInDoubtError",
    "TransactionError",
    "TransactionExpiredError",
    "TransactionLostError",
    "TransactionTooLargeError",
    "WritesStoppedError",
    "WrongRoleError",
]
