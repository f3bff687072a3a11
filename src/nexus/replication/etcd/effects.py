"""What a node under etcd may ask for; the driver performs it and tells the outcome."""

import msgspec

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch
from nexus.replication.effects import Report
from nexus.replication.etcd.keys import LeaderKey, SyncedKey


class ReadKeys(msgspec.Struct, frozen=True):
    """Read both keys: `keys_seen`, or `unread`."""


class GrantLease(msgspec.Struct, frozen=True):
    """A new lease of so long: `lease_granted`, or `not_granted`."""

    ttl_s: int


class RenewLease(msgspec.Struct, frozen=True):
    """Keep the lease alive: `lease_renewed`, or `not_renewed`."""

    lease_id: int


class RevokeLease(msgspec.Struct, frozen=True):
    """End the lease, and with it the leader key; nobody waits for the outcome."""

    lease_id: int


class TakeKey(msgspec.Struct, frozen=True):
    """In one transaction: if nobody has the leader key and the list still stands so.

    `key_taken`, `key_refused`, or `take_unanswered` where the outcome is unknown.
    Without a revision the list must not exist: it is written too.
    """

    lease_id: int
    synced: SyncedKey


class ChangeList(msgspec.Struct, frozen=True):
    """In one transaction: if the own leader key and the list still stand so.

    `list_changed`, `list_refused`, or `change_unanswered`.
    """

    leader: LeaderKey
    before: SyncedKey
    nodes: tuple[NodeId, ...]
    handed_over: Epoch = Epoch(0)
    """The epoch that ends with this list, in a switchover."""


class Require(msgspec.Struct, frozen=True):
    """From now on an entry counts as held once each of these nodes holds it."""

    nodes: frozenset[NodeId]


class Leave(msgspec.Struct, frozen=True):
    """Follow nobody; once nothing more is received: `left`."""


class Follow(msgspec.Struct, frozen=True):
    """Follow the master at this address; empty: whoever was the last one known."""

    address: str


class Reign(msgspec.Struct, frozen=True):
    """Begin a reign of this epoch; `reign_failed` where the disk does not let it."""

    epoch: Epoch
    synced: frozenset[NodeId]
    handed_over: Epoch = Epoch(0)
    """The epoch whose master has left the key to the other node of the list."""


class EndReign(msgspec.Struct, frozen=True):
    """Acknowledge nothing more, take back what is not decided; then `reign_ended`."""

    epoch: Epoch
    reason: str


KeyEffect = (
    ReadKeys
    | GrantLease
    | RenewLease
    | RevokeLease
    | TakeKey
    | ChangeList
    | Require
    | Leave
    | Follow
    | Reign
    | EndReign
    | Report
)

KeyEffects = tuple[KeyEffect, ...]
