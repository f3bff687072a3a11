"""Kill the master while clients write, and note when what happens."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nexus.cli.demo.processes import NodeProcess
from nexus.cli.demo.seller import Shop
from nexus.cli.demo.view import View
from nexus.cli.outcome import NotDoneError

FAILOVER_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Timeline:
    """A failover in seconds from the kill on."""

    killed: str
    elected: str
    detected_s: float
    """Another node has seen that its master is gone."""
    elected_s: float
    first_write_s: float
    """The first sale that the new master acknowledged."""
    epoch: int

    def document(self) -> dict[str, Any]:
        """For --json."""
        return {
            "killed": self.killed,
            "elected": self.elected,
            "epoch": self.epoch,
            "detected_seconds": round(self.detected_s, 3),
            "elected_seconds": round(self.elected_s, 3),
            "first_write_seconds": round(self.first_write_s, 3),
        }


def master_of(nodes: Sequence[NodeProcess], view: View) -> NodeProcess:
    """The node that reigns; raises NotDoneError where none does."""
    for node in nodes:
        if view.status_of(node).get("role") == "master":
            return node
    raise NotDoneError("no node is the master just now")


def kill_the_master(nodes: Sequence[NodeProcess], shop: Shop, view: View) -> Timeline:
    """Kill it with -9, and return once the next one has acknowledged a sale."""
    master = master_of(nodes, view)
    others = [node for node in nodes if node is not master]
    master.kill()
    killed = time.monotonic()

    def any_has_lost_it() -> bool:
        return any(not view.status_of(node).get("connected") for node in others)

    def one_reigns() -> bool:
        return any(view.status_of(node).get("role") == "master" for node in others)

    detected_s = _seconds_until(any_has_lost_it, killed, "noticed that it was gone")
    elected_s = _seconds_until(one_reigns, killed, "was elected")
    successor = master_of(others, view)
    # What the old master answered last may be counted a moment after its death.
    elected_at = killed + elected_s
    first_write_s = _seconds_until(
        lambda: shop.last_sale > elected_at, killed, "took a sale"
    )
    return Timeline(
        killed=master.name,
        elected=successor.name,
        detected_s=detected_s,
        elected_s=elected_s,
        first_write_s=first_write_s,
        epoch=view.status_of(successor)["epoch"],
    )


def _seconds_until(claim: Callable[[], bool], begun: float, what: str) -> float:
    while not claim():
        if time.monotonic() > begun + FAILOVER_TIMEOUT_S:
            raise NotDoneError(f"no other node {what} in {FAILOVER_TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)
    return time.monotonic() - begun
