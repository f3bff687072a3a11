"""Why a call on a node, or a word of a peer, was not heeded."""

from nexus.errors.base import NexusError


class ForbiddenError(NexusError):
    """The caller's token may not do this; nothing happened."""

    code = "forbidden"


class RateLimitedError(NexusError):
    """The caller asks too often; nothing happened."""

    code = "rate_limited"


class TokenInDoubtError(NexusError):
    """The node has just started, and does not know yet whether the token is valid."""

    code = "token_in_doubt"


class WrongRoleError(NexusError):
    """The call belongs on a node of another role, which the message names."""

    code = "wrong_role"


class ClusterChangeError(NexusError):
    """The cluster's master or members cannot change now; the message says why."""

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
    """There is no such snapshot, replica, divergence or verification."""

    code = "not_found"


class RequestError(NexusError):
    """A malformed request; the message names the field and the mend."""

    code = "bad_request"


class ProtocolError(NexusError):
    """The peer sent a frame or message that no correct peer sends.

    The connection ends, as a rule with an `Error` frame whose code is `malformed`.
    """

    code = "protocol"


class HandshakeRefusedError(NexusError):
    """The peers do not belong together; `reason` is an `ErrorCode` value."""

    code = "handshake_refused"

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class NodeUnreachableError(NexusError):
    """Nobody answers there, or what answers is not a node."""

    code = "unreachable"


class ConnectionLostError(NexusError):
    """The node was lost while it answered a query; read again."""

    code = "connection_lost"
