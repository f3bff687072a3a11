"""What an elector is told of its node, and what it may ask its driver to do.

The rules of `effects` hold: performed in order, stopped at the first failure.
"""

from enum import StrEnum

import msgspec

from nexus.model.cluster import NodeId
from nexus.model.position import ORIGIN, Epoch, Position
from nexus.protocol.messages import TakeOver, VoteReply, VoteRequest
from nexus.replication.effects import Report, StepDown


class ElectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who votes here, and how patient it is."""

    node_id: NodeId
    cluster_id: str
    stands: bool = True
    """False on a witness: it votes, and never becomes master."""
    founder: NodeId = NodeId("")
    """Who brought the cluster its database: nobody else stands while empty."""
    heartbeat_ms: int = 5_000
    missed_heartbeats: int = 3
    spread_ms: int = 1_000
    """Electors wait up to so much longer than the dead-time, each another while."""

    @property
    def dead_after_ms(self) -> int:
        """Silence after which a master counts as dead: the least election delay."""
        return self.heartbeat_ms * self.missed_heartbeats


class VoteRecord(msgspec.Struct, frozen=True):
    """What the catalog says of earlier elections."""

    epoch: Epoch = Epoch(0)
    """The highest met."""
    voted_for: NodeId = NodeId("")
    """In that epoch; empty: nobody."""


class LogView(msgspec.Struct, frozen=True, kw_only=True):
    """The node's own log, as far as it is durable."""

    position: Position = ORIGIN
    voters: tuple[NodeId, ...] = ()
    """Of the last configuration entry, durable or not; empty before the first."""
    sound: bool = True
    """False while the log is known to lack what was acknowledged (hard-case 12)."""
    settled: bool = True
    """False while this node could not begin a reign: it votes, and does not stand."""


class Why(StrEnum):
    """What began a reign; a `Reign` carries it."""

    FAILOVER = "failover"
    SWITCHOVER = "switchover"
    RENEWAL = "renewal"
    PROMOTE = "promote"


class PersistVote(msgspec.Struct, frozen=True):
    """Write epoch and vote to the catalog, synced.

    Before the next effect begins, the node's replica must leave the master of an
    earlier epoch: whatever that one sends is not stored and not
    acknowledged any more. A failure stops the node.
    """

    epoch: Epoch
    voted_for: NodeId


class SendVote(msgspec.Struct, frozen=True):
    """Send one message to a voter, on a connection for votes; it may get lost."""

    to: NodeId
    message: VoteRequest | VoteReply | TakeOver


class BecomeMaster(msgspec.Struct, frozen=True):
    """The epoch is this node's: stop following, write its first, empty entry.

    Clients' statements run once that entry is committed, and everything up to it
    applied (hard-case 13). On a failure call `lost_quorum`.
    """

    epoch: Epoch
    why: Why


class Fetch(msgspec.Struct, frozen=True):
    """Take from the lender's log what the own log lacks.

    In the end call `fetched(now_ms)`, whether it went well or not.
    """

    lender: NodeId


class HoldWrites(msgspec.Struct, frozen=True):
    """Begin no more transactions: a switchover to `heir` is under way.

    When all that was begun is committed, and the heir holds it,
    call `heir_ready(now_ms)`.
    """

    heir: NodeId


class TakeWrites(msgspec.Struct, frozen=True):
    """The switchover has not happened: take writes again."""

    reason: str


ElectionEffect = (
    PersistVote
    | SendVote
    | BecomeMaster
    | StepDown
    | Fetch
    | HoldWrites
    | TakeWrites
    | Report
)

ElectionEffects = tuple[ElectionEffect, ...]
