"""The replica's side: find the master, follow its log, replace what does not fit.

Every method returns the effects to perform, in order (see `effects`). Wherever the
connection is lost the machine itself asks for the next one; the log, and what has
arrived of a snapshot, go on where they stood.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from nexus.errors import ProtocolError
from nexus.model.cluster import LinkState, ReplicaStats
from nexus.model.position import Epoch, EpochHistory, Offset, Position
from nexus.protocol.messages import (
    Error,
    ErrorCode,
    Hello,
    Message,
    Ping,
    Pong,
    RequestSnapshot,
    SnapshotChunk,
    SnapshotComplete,
    SnapshotMeta,
    WalAck,
    WalEntry,
    Welcome,
)
from nexus.replication.acceptance import Acceptance, weighed
from nexus.replication.admission import Refusal, claims_to_be_master
from nexus.replication.announcement import hello_of
from nexus.replication.backoff import Backoff
from nexus.replication.effects import (
    MASTER,
    Adopt,
    Apply,
    Close,
    Diverged,
    Disconnect,
    Effect,
    Effects,
    Level,
    Peer,
    Report,
    Send,
    Store,
)
from nexus.replication.incoming import Incoming
from nexus.replication.intake import Intake
from nexus.replication.route import Route
from nexus.replication.settings import Identity, ReplicaSettings, Standing

MOVES: Final = {
    LinkState.STOPPED: {LinkState.CONNECTING},
    LinkState.CONNECTING: {
        LinkState.STREAMING,
        LinkState.PAUSED,
        LinkState.FULL_SYNC,
        LinkState.RECONNECTING,
        LinkState.STOPPED,
    },
    LinkState.STREAMING: {
        LinkState.PAUSED,
        LinkState.FULL_SYNC,
        LinkState.RECONNECTING,
        LinkState.STOPPED,
    },
    LinkState.PAUSED: {
        LinkState.STREAMING,
        LinkState.FULL_SYNC,
        LinkState.RECONNECTING,
        LinkState.STOPPED,
    },
    LinkState.FULL_SYNC: {LinkState.RECONNECTING, LinkState.STOPPED},
    LinkState.RECONNECTING: {LinkState.CONNECTING, LinkState.STOPPED},
}
"""PAUSED streams, stores and acknowledges, but applies nothing."""

STREAMS: Final = {LinkState.STREAMING, LinkState.PAUSED}
WELCOMED: Final = STREAMS | {LinkState.FULL_SYNC}
CONNECTED: Final = WELCOMED | {LinkState.CONNECTING}
