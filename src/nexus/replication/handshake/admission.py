"""Whether a Hello belongs here, and from which entry on its log needs ours."""

from itertools import pairwise

import msgspec

from nexus.model.position import EpochHistory, Offset
from nexus.protocol.messages import (
    PROTOCOL_LEAST,
    PROTOCOL_MOST,
    ErrorCode,
    Hello,
    Plan,
)
from nexus.replication.effects import StepDown
from nexus.replication.settings import Identity, LogExtent


class Refusal(msgspec.Struct, frozen=True):
    """Why the connection ends, in a sentence for whoever reads the replica's status."""

    code: ErrorCode
    message: str


class Admission(msgspec.Struct, frozen=True):
    """How the replica gets to this log; it keeps its entries up to `from_offset`.

    With a full sync it keeps none: then the offset says where its own log left.
    """

    plan: Plan
    from_offset: Offset


def judged(
    hello: Hello, identity: Identity, history: EpochHistory, log: LogExtent
) -> Refusal | Admission:
    """What the master answers, from what both sides hold; nothing is changed."""
    return (
        _stranger(hello, identity)
        or _nonsense(hello)
        or _rival(hello, history)
        or _admission(hello, history, log)
    )


def turned_away(hello: Hello, identity: Identity) -> Refusal:
    """What a node that is no master answers: NOT_MASTER, or why never."""
    own = identity.cluster_id
    if own and hello.cluster_id and hello.cluster_id != own:
        return Refusal(
            ErrorCode.CLUSTER,
            f"{hello.node_id} is of cluster {hello.cluster_id}, this is {own}",
        )
    if hello.node_id == identity.node_id:
        return Refusal(
            ErrorCode.MALFORMED,
            f"{hello.node_id} has reached itself, or a copy of itself: name its "
            "master's address, or give the copy an empty data directory",
        )
    return Refusal(ErrorCode.NOT_MASTER, f"{identity.node_id} is a replica")


def claims_to_be_master(hello: Hello) -> bool:
    """Whether a master announces itself: it names its own address as the master's."""
    return bool(hello.address) and hello.master_addr == hello.address


def stood_alone(hello: Hello) -> bool:
    """Whether its epoch is that of its own last reign, and it wants to follow now."""
    last = hello.history.reigns[-1:]
    left = any(
        (one.epoch, one.master_id) == (hello.epoch, hello.node_id) for one in last
    )
    return left and not claims_to_be_master(hello)


def deposes(hello: Hello, reason: str) -> StepDown:
    """What a Hello of a higher epoch asks of a master.

    A node that stood alone, or reigned, and was ordered to follow this one leaves an
    epoch in which nobody reigns. Who was deposed has met a higher one than its own.
    """
    if not stood_alone(hello):
        return StepDown(hello.epoch, hello.master_addr, reason)
    return StepDown(
        hello.epoch,
        "",
        f"{hello.node_id} has reigned alone up to epoch {hello.epoch}, and is to "
        "follow this node, which begins a higher one",
        vacant=True,
    )


def well_formed(history: EpochHistory) -> bool:
    """Whether epochs and first offsets grow strictly, as in every true history."""
    reigns = history.reigns
    return all(
        earlier.epoch < later.epoch and earlier.first_offset < later.first_offset
        for earlier, later in pairwise(reigns)
    )


def fork_between(
    own: EpochHistory, own_end: Offset, other: EpochHistory, other_end: Offset
) -> Offset:
    """The last offset that both logs share; reigns begun after an end do not count."""
    return own.truncated_after(own_end).fork_offset(
        other.truncated_after(other_end), own_end=own_end, other_end=other_end
    )


def _stranger(hello: Hello, identity: Identity) -> Refusal | None:
    if hello.protocol_least > PROTOCOL_MOST or hello.protocol_most < PROTOCOL_LEAST:
        return Refusal(
            ErrorCode.VERSION,
            f"{hello.node_id} speaks protocol {hello.protocol_least} to "
            f"{hello.protocol_most}, this node {PROTOCOL_LEAST} to {PROTOCOL_MOST}; "
            "upgrade the older one",
        )
    if hello.cluster_id and hello.cluster_id != identity.cluster_id:
        return Refusal(
            ErrorCode.CLUSTER,
            f"{hello.node_id} holds data of cluster {hello.cluster_id}, this is "
            f"cluster {identity.cluster_id}; nothing was changed. Give it the address "
            "of its own master, or an empty data directory",
        )
    if hello.node_id == identity.node_id:
        return Refusal(
            ErrorCode.MALFORMED,
            f"the peer has this node's own id {hello.node_id}: it is this node, or its "
            "data directory is a copy; give it an empty one",
        )
    return None


def _nonsense(hello: Hello) -> Refusal | None:
    offset = hello.position.offset
    if (
        well_formed(hello.history)
        and hello.history.position_at(offset) == hello.position
        and hello.history.epoch <= hello.epoch
        and (hello.cluster_id or not hello.epoch)
    ):
        return None
    return Refusal(
        ErrorCode.MALFORMED,
        f"{hello.node_id} stands at {hello.position} in epoch {hello.epoch}, which "
        "its own history does not contain",
    )


def _rival(hello: Hello, history: EpochHistory) -> Refusal | None:
    """What a Hello says against this node's own reign (hard-case 8)."""
    claims = claims_to_be_master(hello)
    if hello.epoch > history.epoch:
        return Refusal(
            ErrorCode.DEPOSED,
            f"{hello.node_id} is in epoch {hello.epoch}, this node reigned in epoch "
            f"{history.epoch} and steps down",
        )
    followed_another = hello.history.epoch == history.epoch
    if hello.epoch == history.epoch and (claims or followed_another):
        if hello.history.history_id != history.history_id:
            return Refusal(
                ErrorCode.SPLIT,
                f"epoch {history.epoch} has two masters: history "
                f"{history.history_id} here, {hello.history.history_id} at "
                f"{hello.node_id}; force one of them into a higher epoch",
            )
    elif claims:
        return Refusal(
            ErrorCode.DIVERGED,
            f"{hello.node_id} reigned in epoch {hello.epoch}, which ended: this node "
            f"reigns in epoch {history.epoch}",
        )
    return None


def _admission(hello: Hello, history: EpochHistory, log: LogExtent) -> Admission:
    offset = hello.position.offset
    fork = fork_between(history, log.durable_offset, hello.history, offset)
    if fork + 1 < log.first_offset:
        return Admission(Plan.FULL_SYNC, fork)
    if fork == offset:
        return Admission(Plan.STREAM, fork)
    # Where nothing is shared, the database may have begun as another one.
    return Admission(Plan.REWIND if fork else Plan.FULL_SYNC, fork)
