"""What a machine may ask its driver to do.

A machine's method returns a tuple of effects. The driver performs them in order, one
tuple after the other, and stops at the first failure: what stands before an effect is
done (and durable where it says so) when that effect begins. "Store before ack" is
therefore something that you read in a tuple.

A `Peer` names one connection. The publisher gives every accepted connection a name
that it never uses again, so that a late event of an old connection cannot be taken
for one of the new. A replica has one connection at a time, its peer is `MASTER`.
"""

from enum import StrEnum
from typing import Final, NewType

import msgspec

from nexus.model.entry import Record
from nexus.model.position import Epoch, Offset, Position
from nexus.protocol.messages import (
    ErrorCode,
    Message,
    SnapshotChunk,
    SnapshotMeta,
    Welcome,
)

Peer = NewType("Peer", str)

MASTER: Final = Peer("")
"""The peer of all effects of a replica's machine."""


class Level(StrEnum):
    """How much an event matters to the person on call."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


# --- Both machines -------------------------------------------------------------------


class Send(msgspec.Struct, frozen=True):
    """Queue one message for the peer; a peer that has gone is no failure."""

    peer: Peer
    message: Message


class Close(msgspec.Struct, frozen=True):
    """Send `Error(code, message, epoch, master_addr)`, then close the connection.

    The machine has forgotten the peer already: `disconnected` need not be called for
    it, and does nothing if it is. The peer may be one that was never welcomed.
    """

    peer: Peer
    code: ErrorCode
    message: str
    epoch: Epoch = Epoch(0)
    master_addr: str = ""


class Report(msgspec.Struct, frozen=True):
    """Log an event: a stable snake_case name, and a sentence for a human."""

    level: Level
    event: str
    detail: str


# --- The master's --------------------------------------------------------------------


class Stream(msgspec.Struct, frozen=True):
    """Read the log from `start` to `stop` (excluded) and send WalEntry frames.

    Each frame carries `commit_offset`. When they are written, wholly or up to any
    entry before `stop`, call `streamed(peer, next_offset, bytes_sent, now_ms)`; no
    other Stream for this peer comes before. If the log no longer holds `start`, call
    `log_gap(peer, first_offset, now_ms)` instead. Acks may arrive meanwhile. Close,
    or a disconnection, ends it: then nothing is reported.
    """

    peer: Peer
    start: Offset
    stop: Offset
    commit_offset: Offset


class SendSnapshot(msgspec.Struct, frozen=True):
    """Send a snapshot: SnapshotMeta, its chunks, SnapshotComplete.

    Start at `next_chunk` of `snapshot_id` if that snapshot still stands and the log
    reaches back to its position; else take the newest that the log reaches back to, or
    make one, and start at its chunk 0 (the replica sees the other id). The log keeps
    everything from now on. One that is still being made may be sent while it grows if
    the replica `takes_growing`. Before the first frame call `snapshot_started(peer,
    position)`; in the end `snapshot_sent(peer)`, or
    `snapshot_failed(peer, reason, now_ms)`. Close or a disconnection ends it: then
    nothing is reported.

    Nothing that stands before `at_least` will do: the replica's own log is this log up
    to there, and it was counted. While the database is not there yet, it has failed.
    """

    peer: Peer
    snapshot_id: str
    next_chunk: int
    takes_growing: bool = False
    at_least: Offset = Offset(0)


class CommitAdvanced(msgspec.Struct, frozen=True):
    """The commit offset is now `offset`; it only grows."""

    offset: Offset


class StepDown(msgspec.Struct, frozen=True):
    """A higher epoch was met: acknowledge nothing more and become a replica.

    Write `epoch` to the catalog, synced, then follow `master_addr` (empty: unknown; an
    operator or the next announcement names it). The machine answers every later Hello
    with NOT_MASTER and does nothing else.
    """

    epoch: Epoch
    master_addr: str
    reason: str
    vacant: bool = False
    """Nobody reigns in that epoch: the master reigns anew above it."""


class StopWrites(msgspec.Struct, frozen=True):
    """Two masters reign in one epoch: take no writes until a higher epoch is forced."""

    reason: str


# --- The replica's -------------------------------------------------------------------


class Connect(msgspec.Struct, frozen=True):
    """After `delay_ms`, open a connection to `address`, replacing any earlier Connect.

    Then call `connected(now_ms)`, whose first effect is the Hello to send, and give the
    answer (Welcome or Error) to `receive`; or call `disconnected(reason)` if the
    connection, or the proof of the secret, cannot be had.
    """

    address: str
    delay_ms: int


class Disconnect(msgspec.Struct, frozen=True):
    """Close the connection to the master, after `Error(code, reason)` if a code is set.

    `disconnected` is not called for it. Nothing to do if there is no connection.
    """

    reason: str
    code: ErrorCode | None = None


class Adopt(msgspec.Struct, frozen=True):
    """The master is accepted: write its cluster id and epoch to the catalog, synced.

    A database that does not stand yet is made with the Welcome's page size and
    encoding, and not before (hard-case 14).
    """

    welcome: Welcome


class Store(msgspec.Struct, frozen=True):
    """Append the records to the log and sync it.

    Neighbouring Stores may be joined: one append, one sync, then one call of
    `stored(offset, now_ms)` with the last offset that is durable. A failure stops the
    node (a log that may hold half a batch is never appended to again).
    """

    records: tuple[Record, ...]


class Apply(msgspec.Struct, frozen=True):
    """Apply the log's entries up to `up_to` (included) to the database.

    It may go on in the background, in steps: call `applied(offset, now_ms)` after
    each, or `apply_failed(reason, now_ms)`. A later Apply only moves the goal.
    """

    up_to: Offset


class Diverged(msgspec.Struct, frozen=True):
    """Keep what nobody else has: export own entries after `after` to `diverged/`.

    Durable before the next effect begins, which takes them back, or asks for the
    snapshot that will replace them.
    """

    after: Offset
    reason: str


class Rewind(msgspec.Struct, frozen=True):
    """Take back every entry after `to`: out of the database, then out of the log.

    Stop applying first, and drop any Apply that waits. In the end call
    `rewound(now_ms)`, or `rewind_failed(reason, now_ms)` with database and log as they
    were. A node without a database only cuts its log.
    """

    to: Position


class ReceiveSnapshot(msgspec.Struct, frozen=True):
    """A snapshot begins, or goes on at `next_chunk` (0: anew; drop any other)."""

    meta: SnapshotMeta
    next_chunk: int


class StoreChunk(msgspec.Struct, frozen=True):
    """Check the chunk's CRC and keep it; call `install_failed` if it is damaged."""

    chunk: SnapshotChunk


class Install(msgspec.Struct, frozen=True):
    """Verify the archive, put it into the database and reset the log to `position`.

    Stop applying first, and drop any Apply that waits. In the end call
    `installed(position, history, now_ms)`, or `install_failed(reason, now_ms)` with
    database and log as they were.
    """

    snapshot_id: str
    position: Position


Effect = (
    Send
    | Close
    | Report
    | Stream
    | SendSnapshot
    | CommitAdvanced
    | StepDown
    | StopWrites
    | Connect
    | Disconnect
    | Adopt
    | Store
    | Apply
    | Diverged
    | Rewind
    | ReceiveSnapshot
    | StoreChunk
    | Install
)

Effects = tuple[Effect, ...]


def without_orders(effects: Effects) -> Effects:
    """Without what only a true master may conclude: for who serves its log alone."""
    orders = (StepDown, StopWrites, CommitAdvanced)
    return tuple(effect for effect in effects if not isinstance(effect, orders))
