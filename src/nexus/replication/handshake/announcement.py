"""How a new master tells an old one, and what the answer means."""

from typing import Final

from nexus.errors import HandshakeRefusedError
from nexus.model.position import EpochHistory, Offset
from nexus.protocol.messages import Error, ErrorCode, Hello, Welcome
from nexus.replication.effects import Effects, Level, Report, StepDown, StopWrites
from nexus.replication.handshake.introduction import hello_of
from nexus.replication.settings import Identity

LATER: Final = frozenset({ErrorCode.BUSY, ErrorCode.STOPPING})
"""With these a node refuses whoever comes, and has not taken in what it was told."""


def announcement(identity: Identity, history: EpochHistory, durable: Offset) -> Hello:
    """What a new master says to the old one: it names itself as the master.

    Send it, through the usual handshake, to every address that may still reign, again
    and again until one has heard it; give the answer to `answered`.
    """
    return hello_of(
        identity,
        history,
        durable,
        epoch=history.epoch,
        master_addr=identity.address,
    )


def require_heard(answer: Welcome | Error) -> Welcome | Error:
    """The answer of a node that has heard it; HandshakeRefusedError: say it again.

    An old master that starts, stops or changes its role would reign on, untold.
    """
    if isinstance(answer, Error) and answer.code in LATER:
        raise HandshakeRefusedError(answer.message, reason=answer.code)
    return answer


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
