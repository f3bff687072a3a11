"""The events of a node's transitions, in words: reigns begin, links come and go."""

from typing import Final

from nexus.model.position import EpochHistory
from nexus.node.telemetry.events import EventLog
from nexus.protocol.messages import Plan, Welcome
from nexus.replication.effects import Level

WHYS: Final = {
    "failover": "it was elected because the master had gone",
    "switchover": "the master handed over to it",
    "renewal": "its own reign goes on, above an epoch that nobody was elected for",
    "promote": "an operator promoted it",
    "force": "an operator forced it: what it had not received is lost",
    "mode": "an operator changed the mode",
    "start": "it started",
}

PLANS: Final = {
    Plan.STREAM: "the log goes on",
    Plan.REWIND: "its last entries are nobody else's, and are taken back",
    Plan.FULL_SYNC: "it is sent a snapshot",
}


def record_reign(events: EventLog, history: EpochHistory) -> None:
    """This node reigns from now on; its reign is the last of the history."""
    reign = history.reigns[-1]
    why = WHYS.get(reign.why, reign.why)
    if reign.why == "failover" and not history.failovers:
        why = "the voters have elected it, the first one"
    events.info(
        "reign_began", f"epoch {reign.epoch} from entry {reign.first_offset} on: {why}"
    )


class LinkEvents:
    """Which master has welcomed this node, until the link to it ends."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._master = ""

    def welcomed(self, welcome: Welcome) -> None:
        """It is followed from now on; more than entries may be needed."""
        self._master = welcome.master_id
        plan = PLANS[welcome.plan]
        self._events.info("follows", f"{self._master} of epoch {welcome.epoch}: {plan}")
        if welcome.plan is Plan.FULL_SYNC:
            self._events.warning(
                "full_sync_began", f"{self._master} sends its whole database"
            )

    def ended(self, level: Level, reason: str) -> None:
        """An attempt or a link has failed: only the end of a link is an event."""
        master, self._master = self._master, ""
        if master:
            self._events.record(level, "link_ended", f"to {master}: {reason}")
        else:
            self._events.tell(level, "master_not_reached", reason)
