"""Why a client's transaction did not happen, or may not have."""

from nexus.errors.base import NexusError


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


class TransactionLostError(TransactionError):
    """The node of the transaction is gone, nothing of it happened: run it again."""

    code = "transaction_lost"


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
    """Too few replicas are up to hold a write; nothing happened, retry later."""

    code = "quorum_lost"


class DatabaseBusyError(TransactionError):
    """Another process holds the write lock; nothing happened, retry later."""

    code = "database_busy"


class OutcomeUnknownError(NexusError):
    """The write stands in the log at `offset` and may still commit.

    Retry with the same transaction id: it is not done twice.
    """

    code = "outcome_unknown"

    def __init__(self, message: str, *, offset: int) -> None:
        super().__init__(message)
        self.offset = offset
