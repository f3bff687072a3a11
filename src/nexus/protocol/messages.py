"""One frozen class per message of the wire protocol.

A message's payload is the MessagePack array of its fields, in the order below. Fields
are added at the end, with a default, and never change their meaning: nodes of
neighbouring protocol versions understand each other.
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec

from nexus.model.cluster import NodeId
from nexus.model.position import (
    ORIGIN,
    Epoch,
    EpochHistory,
    HistoryId,
    Natural,
    Offset,
    Position,
)
from nexus.protocol.calls import Call

PROTOCOL_LEAST: Final = 1
PROTOCOL_MOST: Final = 1

TOKENS: Final = "tokens"
"""In the features of a Hello: this node knows entries that change tokens."""

VOTES: Final = "votes"
"""A Hello with this feature asks for a connection that carries votes alone; it is
answered with a Welcome, whose `master_id` is the answering node, whatever its role."""

Checksum = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]

# It becomes a file's name on the other side: no separator, no leading dot.
SnapshotId = Annotated[str, msgspec.Meta(pattern=r"\A(?!\.)[^/\\\x00]{0,200}\Z")]


class Plan(StrEnum):
    """How a replica gets from where it stands to its master's log."""

    STREAM = "stream"
    REWIND = "rewind"
    FULL_SYNC = "full_sync"


class ErrorCode(StrEnum):
    """Why a connection ends."""

    MALFORMED = "malformed"
    """The frame or message is not of this protocol."""
    VERSION = "version"
    """No protocol version in common."""
    CLUSTER = "cluster"
    """The peer holds another cluster's data."""
    UNAUTHORISED = "unauthorised"
    """The peer does not prove that it knows the cluster secret."""
    NOT_MASTER = "not_master"
    """This node is no master; `master_addr` names the one it knows."""
    DEPOSED = "deposed"
    """A higher epoch was met; the node that says so steps down."""
    SPLIT = "split"
    """Two masters of one epoch: an operator must force a higher one."""
    DIVERGED = "diverged"
    """The peer's log has left this history."""
    UNKNOWN_DATABASE = "unknown_database"
    """The node has no database of the name that the peer means."""
    LOOP = "loop"
    """The peer would follow a node that follows it, however many are between."""
    BUSY = "busy"
    """Try again later."""
    STOPPING = "stopping"
    """The node is shutting down."""


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """A replica introduces itself; also how a new master tells an old one."""

    protocol_least: Natural
    protocol_most: Natural
    cluster_id: str
    history: EpochHistory
    node_id: NodeId
    address: str
    http_url: str
    epoch: Epoch
    position: Position
    voter: bool = False
    features: tuple[str, ...] = ()
    nonce: bytes = b""
    auth: bytes = b""
    """HMAC-SHA256 over the Challenge's nonce and this message, if there is a secret."""
    master_addr: str = ""
    """The master that the sender knows, itself if it is one."""


class Challenge(msgspec.Struct, frozen=True, array_like=True):
    """The master wants a Hello that proves knowledge of the cluster secret."""

    nonce: bytes


class Welcome(msgspec.Struct, frozen=True, array_like=True):
    """The master's plan for this replica."""

    master_id: NodeId
    cluster_id: str
    epoch: Epoch
    current_offset: Offset
    commit_offset: Offset
    page_size: Natural
    encoding: str
    plan: Plan
    from_offset: Offset
    """The last offset that the replica keeps; entries after it follow."""
    history: EpochHistory
    features: tuple[str, ...] = ()
    auth: bytes = b""
    http_url: str = ""
    heartbeat_ms: Natural = 5000


class Ping(msgspec.Struct, frozen=True, array_like=True):
    """A heartbeat, and how an advance of the commit offset travels at once."""

    timestamp: int
    """The sender's clock, milliseconds; the Pong returns it."""
    current_offset: Offset = Offset(0)
    commit_offset: Offset = Offset(0)
    epoch: Epoch = Epoch(0)
    cluster_id: str = ""
    history_id: HistoryId = HistoryId("")
    held_offset: Offset = Offset(0)
    """Every voter holds the log durably up to here: a witness may drop that."""
    clock_us: Natural = 0
    """What a master's wall clock shows, microseconds since 1970; 0: it does not say."""
    overrun: bool = False
    """A reign begins or the voters change: a witness at its cap stores that too."""


class Pong(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a Ping."""

    timestamp: int
    durable_offset: Offset = Offset(0)
    applied_offset: Offset = Offset(0)


class WalEntry(msgspec.Struct, frozen=True, array_like=True):
    """One entry, or one part of a large one (`part` of `parts`, from 0)."""

    offset: Offset
    epoch: Epoch
    history_id: HistoryId
    commit_offset: Offset
    entry: bytes
    """The record's payload as it stands in the log."""
    part: Natural = 0
    parts: Natural = 1
    compressed: bool = False
    """The payload (all parts joined) is one zstd frame."""


class WalAck(msgspec.Struct, frozen=True, array_like=True):
    """Everything up to these offsets is durable in, and applied by, the replica."""

    durable_offset: Offset
    applied_offset: Offset
    success: bool = True
    """False: an entry did not fit the replica's rows; it wants a full sync."""
    full: bool = False
    """A witness's log has reached its cap: it stores no entry now."""
    no_space: bool = False
    """Its disk has no space: what came last is not stored, nor is what follows."""


class RequestSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """A replica wants a snapshot, or the rest of one."""

    node_id: NodeId
    snapshot_id: SnapshotId = ""
    next_chunk: Natural = 0
    takes_growing: bool = False
    """One that is still being made will do (see SnapshotMeta)."""


class SnapshotMeta(msgspec.Struct, frozen=True, array_like=True):
    """What will follow; `total_size` is the archive's, in bytes."""

    # Of one that is still being made, size, count and CRC-32 are 0: a second
    # SnapshotMeta with the figures comes behind the last chunk.

    snapshot_id: SnapshotId
    total_size: Natural
    chunk_count: Natural
    crc32: Checksum
    position: Position = ORIGIN

    @property
    def is_growing(self) -> bool:
        """Whether the figures are to come."""
        return self.chunk_count == 0

    def completes(self, begun: "SnapshotMeta") -> bool:
        """Whether these are the figures of the one that was announced as `begun`."""
        told = (begun.snapshot_id, begun.position)
        return begun.is_growing and told == (self.snapshot_id, self.position)


class SnapshotChunk(msgspec.Struct, frozen=True, array_like=True):
    """One piece of the archive, with a CRC-32 of its own."""

    snapshot_id: SnapshotId
    chunk_index: Natural
    data: bytes
    crc32: Checksum


class SnapshotComplete(msgspec.Struct, frozen=True, array_like=True):
    """From the master: all is sent. From the replica: installed, or not."""

    snapshot_id: SnapshotId
    success: bool


class VoteRequest(msgspec.Struct, frozen=True, array_like=True):
    """A candidate asks for a vote (Raft, section 5.2; pre-vote: thesis 9.6)."""

    cluster_id: str
    epoch: Epoch
    candidate_id: NodeId
    position: Position
    history_id: HistoryId
    pre_vote: bool = False
    transfer: bool = False


class VoteReply(msgspec.Struct, frozen=True, array_like=True):
    """A voter's answer."""

    epoch: Epoch
    """Granted: the epoch that was asked for. Refused: the highest that it has met."""
    granted: bool
    reason: str = ""
    pre_vote: bool = False
    """As in the request: a pre-vote must never be counted as a vote."""
    lends: bool = False
    """Refused by a witness that is ahead: its log may be fetched."""


class TakeOver(msgspec.Struct, frozen=True, array_like=True):
    """The master to its heir in a switchover: start your election now."""

    epoch: Epoch


class Error(msgspec.Struct, frozen=True, array_like=True):
    """The last frame of a connection, in either direction."""

    code: str
    """An `ErrorCode`; kept as text, so that newer codes can be read."""
    message: str
    epoch: Epoch = Epoch(0)
    master_addr: str = ""


Message = (
    Hello
    | Challenge
    | Welcome
    | Ping
    | Pong
    | WalEntry
    | WalAck
    | RequestSnapshot
    | SnapshotMeta
    | SnapshotChunk
    | SnapshotComplete
    | VoteRequest
    | VoteReply
    | TakeOver
    | Error
    | Call
)
