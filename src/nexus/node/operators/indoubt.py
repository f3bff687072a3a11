"""Whether tokens that were good before this node's start may have been revoked since.

While it was down it heard nothing. So it takes no token until it has received all that
its master had when the two met. Where no master answers, reads must go on: then what
the node knows is good again, after the time in which a master that lives answers.
"""

import time
from typing import Final

from nexus.node.duty import CurrentDuty
from nexus.node.roles.following import Following
from nexus.node.roles.reigning import Reigning
from nexus.replication.replica import Replica

LEAST_S: Final = 5.0
"""A connection over a slow network, with TLS, may take so long."""


class InDoubtPeriod:
    """From one start of a node on, until it knows; for its event loop."""

    def __init__(self, duties: CurrentDuty) -> None:
        self._duties = duties
        self._ends_at = 0.0
        self._is_over = True

    def begin(self) -> None:
        """The node starts now."""
        self._is_over = False
        self._wait_longer()

    @property
    def lasts(self) -> bool:
        """Whether it does not know yet."""
        if not self._is_over:
            self._is_over = self._has_ended()
        return not self._is_over

    def _has_ended(self) -> bool:
        acting = self._duties.acting
        if isinstance(acting, Reigning):
            return True
        if isinstance(acting, Following) and acting.machine.is_connected:
            self._wait_longer()
            return _has_what_its_master_had(acting.machine)
        return time.monotonic() >= self._ends_at

    def _wait_longer(self) -> None:
        replication = self._duties.parts.config.replication
        dead_after_s = replication.heartbeat_ms * replication.missed_heartbeats / 1000
        self._ends_at = time.monotonic() + max(LEAST_S, dead_after_s)


def _has_what_its_master_had(replica: Replica) -> bool:
    """Whether its log holds, on the master's history, all up to when they met."""
    master = replica.master
    return (
        master is not None
        and replica.passes_on
        and replica.durable >= master.current_offset
    )
