"""How a new master tells an old one, and what the answer means."""

from nexus.model.position import Epoch, EpochHistory, Offset
from nexus.protocol.messages import (
    PROTOCOL_LEAST,
    PROTOCOL_MOST,
    Error,
    ErrorCode,
    Hello,
    Welcome,
)
from nexus.replication.effects import Effects, Level, Report, StepDown, StopWrites
from nexus.replication.settings import Identity


def hello_of(
    identity: Identity,
    history: EpochHistory,
    end: Offset,
    *,
    epoch: Epoch,
    master_addr: str = "",
) -> Hello:
    """The Hello of a node whose log ends with `end`.

    `epoch` is the highest it has met, which may be more than its history shows.
    """
    known = history.truncated_after(end)
    return Hello(
        protocol_least=PROTOCOL_LEAST,
        protocol_most=PROTOCOL_MOST,
        cluster_id=identity.cluster_id,
        history=known,
        node_id=identity.node_id,
        address=identity.address,
        http_url=identity.http_url,
        epoch=max(known.epoch, epoch),
        position=known.position_at(end),
        voter=identity.voter,
        features=identity.features,
        master_addr=master_addr,
    )


def announcement(identity: Identity, history: EpochHistory, durable: Offset) -> Hello:
    """What a new master says to the old one: it names itself as the master.

    Send it, through the usual handshake, to every address that may still reign, again
    and again until one answers; give the answer to `answered`.
    """
    return hello_of(
        identity,
        history,
        durable,
        epoch=history.epoch,
        master_addr=identity.address,
    )


def answered(answer: Welcome | Error, history: EpochHistory) -> Effects:
    """What the other side's answer to an announcement means for this master."""
    if answer.epoch > history.epoch:
        address = answer.master_addr if isinstance(answer, Error) else ""
        reason = f"the announcement was answered out of epoch {answer.epoch}"
        return (StepDown(answer.epoch, address, reason),)
    if isinstance(answer, Welcome):
        return ()
    if answer.code == ErrorCode.SPLIT:
        return (StopWrites(answer.message),)
    return (Report(Level.INFO, "announced", f"{answer.code}: {answer.message}"),)
