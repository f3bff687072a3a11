"""When a replica that follows a stand-in goes back to the upstream it was given.

Not at once: that upstream has to answer well for a while, as one that has what this
replica has, and longer after each return that did not last.
"""

from typing import Final

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch
from nexus.protocol.messages import Error, Plan, Welcome
from nexus.replication.effects import Effects, Level, Report
from nexus.replication.following.acceptance import foreign, looped
from nexus.replication.following.incoming import Incoming
from nexus.replication.following.link import Link

ANSWERS: Final = 4
"""So many good ones in a row, one in each quarter of the time."""

MOST_TIMES: Final = 64
"""A return that does not last doubles the time, up to so many times."""

Reply = Welcome | Error | None
"""What an upstream said to a Hello; None: it could not be reached."""


class Homing:
    """Which address to ask, when, and what its answers mean; for one replica."""

    def __init__(
        self, node_id: NodeId, link: Link, log: Incoming, *, steady_ms: int
    ) -> None:
        self._node_id = node_id
        self._link = link
        self._log = log
        self._steady_ms = steady_ms
        self._times = 1
        self._is_away = False
        self._next_ms = 0
        self._good = 0
        self._returned_ms: int | None = None
        self._held = log.durable
        self.offset = log.durable
        """What the upstream must have: this replica had it a question ago."""

    @property
    def _lasts_ms(self) -> int:
        return self._steady_ms * self._times

    def due(self, now_ms: int) -> str:
        """Whom to say Hello to now, on a connection of its own; empty: nobody."""
        if self._link.address == self._link.home:
            self._is_away = False
            return ""
        if not self._is_away:
            self._leaves(now_ms)
        if not self._link.streams or now_ms < self._next_ms:
            return ""
        self._next_ms = now_ms + self._lasts_ms // ANSWERS
        self.offset = min(self._held, self._log.durable)
        self._held = self._log.durable
        return self._link.home

    def answered(
        self, reply: Reply, *, cluster_id: str, epoch: Epoch, now_ms: int
    ) -> Effects:
        """Its answer to the question: perhaps the way back.

        It counts even while the stand-in is lost, but that is left for home only later.
        """
        if not self._is_away:
            return ()
        self._good = self._good + 1 if self._is_good(reply, cluster_id, epoch) else 0
        if self._good < ANSWERS or not self._link.streams:
            return ()
        self._returned_ms = now_ms
        home = self._link.home
        detail = f"{home}, which this replica was given, is well again"
        back = self._link.other_master(home, at_once=True)
        report = Report(Level.INFO, "returns", detail)
        return (report, *self._link.given_up(detail, instead=back))

    def _leaves(self, now_ms: int) -> None:
        """It follows another one from now on."""
        returned_ms = self._returned_ms
        lasted = returned_ms is None or now_ms - returned_ms >= self._lasts_ms
        self._times = 1 if lasted else min(2 * self._times, MOST_TIMES)
        self._is_away, self._good = True, 0
        self._held = self._log.durable
        self._next_ms = now_ms + self._lasts_ms // ANSWERS

    def _is_good(self, reply: Reply, cluster_id: str, epoch: Epoch) -> bool:
        """Whether it would go on with this replica's log, without a full sync."""
        if not isinstance(reply, Welcome) or reply.plan is not Plan.STREAM:
            return False
        return not (
            looped(reply, self._node_id) or foreign(reply, cluster_id, epoch, self._log)
        )
