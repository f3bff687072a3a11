"""The one table from errors to status codes, and what a client is told of each."""

from typing import Final

import msgspec

from nexus import errors
from nexus.api import refusals


class Row(msgspec.Struct, frozen=True):
    """What a client is told of one kind of error."""

    status: int
    title: str
    what_to_do: str
    retry_after_s: int = 0
    """Seconds for the Retry-After header; 0: no header."""


_READ_LOG: Final = "Read this node's log and its GET /replication/status."
_STOPPED: Final = (
    "Nothing more is accepted here; read the node's log, then start it again."
)

TABLE: Final[dict[type[errors.NexusError], Row]] = {
    errors.NexusError: Row(500, "The node failed", _READ_LOG),
    errors.ConfigurationError: Row(
        400, "An impossible setting", "Correct the setting that the detail names."
    ),
    errors.TransactionError: Row(
        409, "The transaction did not happen", "Follow the detail, then send it again."
    ),
    errors.StatementError: Row(
        400, "SQLite refused a statement", "Correct the statement at `index`."
    ),
    errors.ConstraintError: Row(
        409,
        "A constraint of the schema forbids it",
        "Change the values, or the schema; nothing of the transaction was kept.",
    ),
    errors.RefusedStatementError: Row(
        422,
        "The statement cannot be replicated",
        "Write the statement at `index` in another way; the detail says which.",
    ),
    errors.TransactionTooLargeError: Row(
        413, "The transaction is too large", "Split it into smaller transactions."
    ),
    errors.AnswerTooLargeError: Row(
        413, "The answer is too large", "Ask for fewer rows, or for some at a time."
    ),
    errors.TransactionLostError: Row(
        503, "The transaction's node is gone", "Nothing happened: run it again.", 1
    ),
    errors.NodeUnreachableError: Row(
        503, "Nobody answers there", "Start the node, or correct its address.", 1
    ),
    errors.ConnectionLostError: Row(
        503, "The node went while it answered", "Read again.", 1
    ),
    errors.TransactionExpiredError: Row(
        409, "The transaction idled too long", "Begin it again and commit sooner."
    ),
    errors.ReadOnlyReplicaError: Row(
        409, "A replica takes no writes", "Send it to the node at `master_url`."
    ),
    errors.NoMasterError: Row(
        503, "No master just now", "Nothing happened: send it again.", 1
    ),
    errors.QuorumLostError: Row(
        503,
        "Too few replicas are there",
        "Nothing happened: start or reconnect replicas, then send it again.",
        1,
    ),
    errors.DatabaseBusyError: Row(
        503,
        "Another process holds the database",
        "Nothing happened: end that process's transaction, then send it again.",
        1,
    ),
    errors.WritesStoppedError: Row(
        503,
        "This node takes no writes",
        "Nothing happened. An operator must act as the detail says.",
        5,
    ),
    errors.OutcomeUnknownError: Row(
        504,
        "The write may still commit",
        "Send it again with the same transaction_id: it is not done twice. Without "
        "one, read whether it is there before you send it again.",
    ),
    errors.ForbiddenError: Row(
        403,
        "The token may not do this",
        "Nothing happened: use a token of the role that the detail names.",
    ),
    errors.RateLimitedError: Row(
        429, "Too many requests", "Nothing happened: send it again, but less often.", 1
    ),
    errors.TokenInDoubtError: Row(
        503,
        "The token may have been revoked",
        "Nothing happened: send it again in a moment, or to another node.",
        1,
    ),
    errors.WrongRoleError: Row(
        409,
        "A call for another role",
        "Nothing was changed: the detail says what to do, or which node to ask.",
    ),
    errors.ClusterChangeError: Row(
        409, "The cluster cannot change so now", "Mend that first, or wait."
    ),
    errors.EtcdError: Row(
        503,
        "etcd did not do it",
        "See whether etcd answers, and how the cluster stands, then send it again.",
        1,
    ),
    errors.NoDatabaseError: Row(
        503,
        "No database here yet",
        "Read on another node, or ask again when this one has followed its master.",
        1,
    ),
    errors.NotAppliedError: Row(
        503,
        "This node is not as far yet",
        "Nothing happened: ask another node, or this one again later.",
        1,
    ),
    errors.ChangesGoneError: Row(
        410,
        "These changes are no longer retained",
        "Read the tables as they are now and go on from there, or from "
        "`oldest_offset`.",
    ),
    errors.PositionLostError: Row(
        409,
        "Not a place of this history",
        "Undo what you read after `resume_from`, or read the tables as they are now, "
        "then go on from there.",
    ),
    errors.NotFoundError: Row(
        404, "No such thing here", "List what there is, and use an id from the list."
    ),
    errors.RequestError: Row(
        400, "A malformed request", "Correct it as GET /openapi.json describes."
    ),
    errors.ProtocolError: Row(502, "A peer sent nonsense", _READ_LOG),
    errors.HandshakeRefusedError: Row(
        502,
        "The peers do not belong together",
        "Compare cluster_id, secret and version of both nodes.",
    ),
    errors.StorageError: Row(500, "The disk failed", _READ_LOG),
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
    errors.NodeStoppedError: Row(503, "The node is stopping", _STOPPED, 5),
    refusals.UnauthorisedError: Row(
        401,
        "No token, or none that is known here",
        "Send the header `Authorization: Bearer <token>`; `nexus token create` makes "
        "one, and the cluster secret serves as well.",
    ),
    refusals.CrossOriginError: Row(
        403,
        "A page of another site may not call this",
        "Call from a page of this address, or from no web page at all.",
    ),
    refusals.NoSuchCallError: Row(
        404, "No such call", "GET / lists the calls; GET /openapi.json describes them."
    ),
    refusals.MethodNotAllowedError: Row(
        405, "Not with this method", "Use a method of the Allow header."
    ),
    refusals.NotHttpError: Row(
        400,
        "Not an HTTP request",
        "Speak HTTP/1.1: by https:// where the node has a certificate, else http://.",
    ),
    refusals.HeadTooLargeError: Row(
        431, "The request's head is too large", "Send fewer and shorter headers."
    ),
    refusals.HeadTooSlowError: Row(
        408, "The request came too slowly", "Nothing happened: send it again."
    ),
    refusals.BodyTooLargeError: Row(
        413, "The request is too large", "Send several smaller requests."
    ),
    refusals.BodyTooSlowError: Row(
        408, "The request came too slowly", "Nothing happened: send it again."
    ),
    refusals.MediaTypeError: Row(
        415,
        "The body is not declared as plain JSON",
        "Send the header `Content-Type: application/json`, and the body uncompressed.",
    ),
    refusals.RangeError: Row(
        416, "No such range", "Ask for bytes within Content-Range's length."
    ),
    refusals.NotReadyError: Row(
        503, "Not ready", "Use another node, or ask again later.", 1
    ),
    refusals.BusyError: Row(
        503, "Too many large requests", "Nothing happened: send it again.", 1
    ),
    refusals.TooManyConsumersError: Row(
        503,
        "Too many consumers of changes",
        "Read at another node, or close what is idle.",
        5,
    ),
    refusals.CrowdedError: Row(
        503,
        "Too many connections",
        "Nothing happened: close what is idle, or try again later.",
        1,
    ),
    refusals.ArgumentsError: Row(
        400, "Arguments that do not fit", "Send one for each of the parameters."
    ),
    refusals.SqlTextError: Row(
        400, "No such text of SQL", "Send just one of `sql` and `sql_id`."
    ),
    refusals.NoStatementError: Row(400, "No statement", "Send one."),
    refusals.SeveralStatementsError: Row(
        400, "More than one statement", "Send each as one of its own."
    ),
    refusals.StreamClosedError: Row(
        409, "The stream is closed", "Begin again on a new stream."
    ),
    refusals.StreamGoneError: Row(
        404,
        "No such stream",
        "Begin again on a new stream; what was not committed is taken back.",
    ),
    refusals.BatonUsedError: Row(
        409, "A baton is used once", "Send the baton of the stream's last answer."
    ),
    refusals.TooManyStreamsError: Row(
        503, "Too many streams", "Close streams that are not needed, then try again.", 1
    ),
    refusals.AnswerLostError: Row(
        504,
        "The write may be done or not",
        "Send it again with the same transaction_id: it is not done twice. Without "
        "one, read whether it is there before you send it again.",
    ),
}


def headers_of(error: errors.NexusError) -> dict[str, str]:
    """The headers of an answer that tells of this error: its own, and Retry-After."""
    headers = dict(getattr(error, "headers", {}))
    retry_after_s = row_of(type(error)).retry_after_s
    if retry_after_s:
        headers["Retry-After"] = str(retry_after_s)
    return headers


def row_of(kind: type[errors.NexusError]) -> Row:
    """The table's row of this kind of error, or of the nearest kind above it."""
    return next(TABLE[base] for base in kind.__mro__ if base in TABLE)
