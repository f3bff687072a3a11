"""What a forced promotion of this node may lose, as far as it can know beforehand."""

import asyncio
from typing import Final

import msgspec

from nexus.model.position import EpochHistory, Offset
from nexus.node.duty import CurrentDuty
from nexus.node.elections.voting import Voting
from nexus.protocol.messages import Welcome

ASKING_S: Final = 2.0
"""So long the other voters have to say where their logs end."""

KEPT: Final = "Whoever has them and comes back keeps them under diverged/."


class VoterLog(msgspec.Struct, frozen=True):
    """Another voter's log, beside this node's."""

    id: str
    addr: str
    durable_offset: int | None
    """Where it ends; null: the node does not answer."""
    ahead: int | None
    """Entries of it that this node has not; null: nobody knows."""


class Losses(msgspec.Struct, frozen=True, kw_only=True):
    """What POST /replication/promote says before it forces anything."""

    may_be_lost: str
    """For the person who decides."""
    durable_offset: int
    """The last entry that this node has."""
    commit_offset: int
    """The last that it knows to be on a quorum."""
    lag: int
    """Entries that its master had more, when it was last heard of."""
    voters: tuple[VoterLog, ...] = ()
    """The others, where there are voters; each was asked."""


async def losses(duties: CurrentDuty) -> Losses:
    """Ask the voters that can be reached, and change nothing."""
    parts, report = duties.parts, duties.report()
    end = parts.log.durable_offset
    voters: tuple[VoterLog, ...] = ()
    if isinstance(duties.duty, Voting):
        voters = await _asked(duties.duty, end)
    lag = max(0, report.lag - (end - parts.database.position.offset))
    said = [f"This node's log ends at entry {end}."]
    if report.master_id and report.master_id != parts.state.node_id:
        said.append(
            f"Its master {report.master_id} had {lag} more when it was last heard of"
            f"{', and is connected now' if report.connected else ''}."
        )
    said += [_told(voter) for voter in voters]
    said.append(f"All that this node has not may be lost, acknowledged or not. {KEPT}")
    return Losses(
        may_be_lost=" ".join(said),
        durable_offset=end,
        commit_offset=report.commit_offset,
        lag=lag,
        voters=voters,
    )


async def _asked(voting: Voting, end: Offset) -> tuple[VoterLog, ...]:
    own, history = voting.parts.state.node_id, voting.history
    others = [one for one in voting.voters if one[0] != own]

    async def ask(address: str) -> Welcome | None:
        try:
            async with asyncio.timeout(ASKING_S):
                return await voting.links.ask(address)
        except TimeoutError:
            return None

    answers = await asyncio.gather(*(ask(address) for _, address in others))
    return tuple(
        VoterLog(
            node_id,
            address,
            None if answer is None else answer.current_offset,
            None if answer is None else _ahead(history, end, answer),
        )
        for (node_id, address), answer in zip(others, answers, strict=True)
    )


def _ahead(history: EpochHistory, end: Offset, other: Welcome) -> int:
    """How many entries of the other's log are not in this one."""
    theirs = other.current_offset
    shared = history.fork_offset(other.history, own_end=end, other_end=theirs)
    return theirs - shared


def _told(voter: VoterLog) -> str:
    name = f"Voter {voter.id} at {voter.addr}"
    if voter.ahead is None:
        return f"{name} does not answer: what it has more is not known."
    return f"{name} has {voter.ahead} entries that this node has not."
