"""What a replica makes of a master's Welcome, before it changes anything."""

from typing import Final

import msgspec

from nexus.errors import ProtocolError
from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, Offset
from nexus.protocol.messages import Error, ErrorCode, Ping, Plan, Welcome
from nexus.replication.following.incoming import Incoming
from nexus.replication.handshake.admission import Refusal, fork_between, well_formed
from nexus.replication.handshake.cascade import VIA, chain, named


class Acceptance(msgspec.Struct, frozen=True):
    """The master is the right one; the own log agrees with its log up to `fork`."""

    plan: Plan
    fork: Offset


PAGE_SIZES: Final = frozenset(1 << power for power in range(9, 17))
ENCODINGS: Final = frozenset({"UTF-8", "UTF-16le", "UTF-16be"})
"""What a database of SQLite may have; a replica makes its own after the master's."""


def weighed(
    welcome: Welcome, cluster_id: str, epoch: Epoch, log: Incoming
) -> Refusal | Acceptance:
    """Trust, but check: a wrong plan would cost rows.

    `cluster_id` is the replica's own (or empty), `epoch` the highest that it has met.
    """
    return (
        foreign(welcome, cluster_id, epoch, log)
        or _contradiction(welcome, log)
        or _acceptance(welcome, log)
    )


def looped(welcome: Welcome, own: NodeId) -> Refusal | None:
    """A replica that follows this node is no upstream for it."""
    via = named(welcome.features, VIA)
    if own not in via:
        return None
    return Refusal(ErrorCode.LOOP, f"{own} would follow {chain(via)}: a loop")


def check_ping(ping: Ping, welcome: Welcome) -> None:
    """Raise ProtocolError unless the Ping is of the reign that was welcomed to."""
    said = (ping.cluster_id, ping.epoch, ping.history_id)
    if said != (welcome.cluster_id, welcome.epoch, welcome.history.history_id):
        raise ProtocolError(
            f"a Ping names epoch {ping.epoch} and history {ping.history_id}, the "
            f"Welcome {welcome.epoch} and {welcome.history.history_id}"
        )


def pointed_to(error: Error, epoch: Epoch) -> str:
    """The master that a refusal names, if it knows no less than this node does."""
    knows = error.code in (ErrorCode.NOT_MASTER, ErrorCode.DEPOSED)
    return error.master_addr if knows and error.epoch >= epoch else ""


def foreign(
    welcome: Welcome, cluster_id: str, epoch: Epoch, log: Incoming
) -> Refusal | None:
    """It is of another cluster, of an earlier reign, or of a second one."""
    if cluster_id and welcome.cluster_id != cluster_id:
        return Refusal(
            ErrorCode.CLUSTER,
            f"{welcome.master_id} is master of cluster {welcome.cluster_id}, this "
            f"node's data is of cluster {cluster_id}; nothing was changed. Give it the "
            "address of its own master, or an empty data directory",
        )
    if welcome.epoch < epoch:
        return Refusal(
            ErrorCode.DEPOSED,
            f"{welcome.master_id} reigns in epoch {welcome.epoch}, epoch {epoch} has "
            "begun since",
        )
    own, theirs = log.history, welcome.history
    if own.epoch == theirs.epoch and own.history_id != theirs.history_id:
        return Refusal(
            ErrorCode.SPLIT,
            f"epoch {own.epoch} has two masters: history {own.history_id} here, "
            f"{theirs.history_id} at {welcome.master_id}; force one of them into a "
            "higher epoch",
        )
    return None


def _contradiction(welcome: Welcome, log: Incoming) -> Refusal | None:
    history = welcome.history
    streams = welcome.plan is Plan.STREAM
    if welcome.page_size not in PAGE_SIZES or welcome.encoding not in ENCODINGS:
        return Refusal(
            ErrorCode.MALFORMED,
            f"{welcome.master_id} has pages of {welcome.page_size} bytes and the "
            f"encoding {welcome.encoding!r}: no database of SQLite has",
        )
    if (
        welcome.cluster_id
        and well_formed(history)
        and history.epoch == welcome.epoch
        and (not streams or welcome.from_offset == log.received)
        and (not streams or history.position_at(log.received) == log.position)
    ):
        return None
    return Refusal(
        ErrorCode.MALFORMED,
        f"{welcome.master_id} welcomes to {welcome.plan} from {welcome.from_offset} in "
        f"epoch {welcome.epoch}; its history does not allow that from {log.position}",
    )


def _acceptance(welcome: Welcome, log: Incoming) -> Acceptance:
    if welcome.plan is Plan.STREAM:
        return Acceptance(Plan.STREAM, log.received)
    theirs, end = welcome.history, welcome.current_offset
    fork = fork_between(log.history, log.received, theirs, end)
    # A history that was too long for the Welcome may end after the fork: then nobody
    # can check on this side how far to go back.
    agreed = welcome.plan is Plan.REWIND and fork == welcome.from_offset > 0
    return Acceptance(Plan.REWIND if agreed else Plan.FULL_SYNC, fork)
