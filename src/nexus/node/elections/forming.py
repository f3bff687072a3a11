"""A node of no cluster, with a list of peers: form a cluster with them, or join theirs.

It is empty, or holds an imported database.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import structlog

from nexus.config.advice import of_even_voters
from nexus.errors import NexusError, NoMasterError, ReadOnlyReplicaError
from nexus.model.cluster import LinkState, ReplicaStats
from nexus.model.position import EpochHistory, Offset
from nexus.node.elections.votelinks import VoteHooks, VoteLinks, vote_welcome
from nexus.node.parts import Parts
from nexus.node.report import DutyReport
from nexus.replication.elections.formation import Formed, Joins, Waits, formation
from nexus.replication.handshake.introduction import hello_of

LONGEST_PAUSE_S: Final = 1.0

log = structlog.get_logger(__name__)


class Forming:
    """Asks the peers until all have answered, or one of them has a cluster already."""

    def __init__(self, parts: Parts, done: Callable[[Formed | Joins], None]) -> None:
        """`done` is called once, on the loop, with what has been decided."""
        self._parts = parts
        self._done = done
        replication = parts.config.replication
        self._pause_s = min(LONGEST_PAUSE_S, replication.heartbeat_ms / 1000)
        self.links = VoteLinks(
            VoteHooks(
                lambda: hello_of(
                    parts.identity(), EpochHistory(), Offset(0), epoch=parts.state.epoch
                ),
                lambda: vote_welcome(parts, self.history),
                lambda _sender, _message: None,
            ),
            security=parts.port.security,
            heartbeat_ms=replication.heartbeat_ms,
            missed=replication.missed_heartbeats,
        )
        self.reason = "the peers have not been asked yet"
        self._asking = asyncio.create_task(self._ask())

    async def leave(self) -> None:
        """Ask no more."""
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)
        await self.links.close()

    def report(self) -> DutyReport:
        """How this role fares."""
        return DutyReport(state=LinkState.CONNECTING, last_error=self.reason)

    def stats(self) -> ReplicaStats:
        """GET /replication/replica/stats: nothing has happened yet."""
        return no_stats(self._parts.log.durable_offset)

    @property
    def history(self) -> EpochHistory:
        """Nobody has reigned here; at most a database was imported."""
        return self._parts.database.history()

    def write_refusal(self) -> NoMasterError | ReadOnlyReplicaError:
        """Why nothing can be written."""
        return NoMasterError(f"nothing happened: {self.reason}; try again soon")

    def tick(self) -> None:
        """Time changes nothing here."""

    async def retain(self) -> None:
        """There is nothing to drop."""

    async def _ask(self) -> None:
        peers, own = self._parts.config.replication.peers, self._parts.state.node_id
        try:
            while True:
                found = await asyncio.gather(*map(self.links.sight, peers))
                decided = formation(own, dict(zip(peers, found, strict=True)))
                if not isinstance(decided, Waits):
                    self._done(decided)
                    return
                if decided.reason != self.reason:
                    log.info("cluster_not_formed_yet", reason=decided.reason)
                self.reason = decided.reason
                await asyncio.sleep(self._pause_s)
        except NexusError as error:
            self._parts.failed(error)


def no_stats(end: Offset) -> ReplicaStats:
    """Those of a node that follows nobody; its log ends there."""
    return ReplicaStats(
        entries_received=0,
        entries_applied=0,
        bytes_received=0,
        current_offset=end,
        lag=0,
        lag_seconds=0.0,
        reconnects=0,
        connected=False,
        master_id="",
        full_syncs=0,
        rewinds=0,
        apply_conflicts=0,
    )


def is_of_no_cluster(parts: Parts) -> bool:
    """Whether a cluster may be formed with this node: nobody has reigned over it."""
    return not parts.log.last_offset or parts.database.history().is_import


def warn_of_peers(parts: Parts, voters: Mapping[str, str]) -> None:
    """The log's configuration rules; a list that differs is told, and not used."""
    peers = parts.config.replication.peers
    if peers and set(peers) != set(voters.values()):
        log.warning("peers_differ", configured=peers, in_force=tuple(voters.values()))
    if voters and len(voters) % 2 == 0:
        log.warning("even_voters", detail=of_even_voters(len(voters)))


def places_of(parts: Parts, voters: Iterable[tuple[str, str]]) -> set[str]:
    """Where the other voters are: by the log, and by what is configured here.

    Where machines have got other addresses nobody reigns who could log them. Whoever
    answers proves by its id which voter it is: the list adds none.
    """
    own = parts.state.node_id
    logged = {address for node_id, address in voters if node_id != own}
    return logged | {*parts.config.replication.peers} - {parts.address}
