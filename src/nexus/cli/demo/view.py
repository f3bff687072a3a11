"""What the demonstration shows: every node's place, and how fast it moves."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from nexus.cli.demo.processes import NodeProcess
from nexus.cli.demo.seller import Shop
from nexus.cli.remote import CALL_ERRORS, Remote
from nexus.cli.status import STATE_STYLES
from nexus.cli.terminal import count, plain_table, seconds

ASK_TIMEOUT_S: Final = 1.0
SMOOTHING: Final = 0.5
"""Weight of the newest measurement in a rate; one alone would jump about."""


@dataclass(slots=True)
class Rate:
    """How fast a counter moves, smoothed."""

    last_count: int = 0
    last_time: float = 0.0
    per_second: float = 0.0

    def measure(self, number: int, now: float) -> float:
        """The rate, with this reading in it."""
        if self.last_time and now > self.last_time:
            newest = max(0, number - self.last_count) / (now - self.last_time)
            self.per_second += SMOOTHING * (newest - self.per_second)
        self.last_count, self.last_time = number, now
        return self.per_second


@dataclass(slots=True)
class Reading:
    """One node as it was last seen."""

    node: NodeProcess
    remote: Remote
    status: dict[str, Any] = field(default_factory=dict)
    rate: Rate = field(default_factory=Rate)

    def look(self) -> None:
        """Ask the node; what does not answer has no status."""
        try:
            self.status = self.remote.get("/replication/status", timeout=ASK_TIMEOUT_S)
        except CALL_ERRORS:
            self.status = {}
            return
        self.rate.measure(self.status["applied_offset"], time.monotonic())

    @property
    def applied_offset(self) -> int:
        """As last seen; 0 while it does not answer."""
        return int(self.status.get("applied_offset", 0))

    def row(self) -> tuple[Text | str, ...]:
        """Its row in the table."""
        pid = str(self.node.pid) if self.node.pid else ""
        if not self.status:
            gone = Text("not answering" if pid else "killed", style="bold red")
            return (self.node.name, gone, "", "", "", "", pid, self.node.url)
        leads = self.status["role"] == "master"
        state = "master" if leads else str(self.status["state"])
        style = "bold green" if leads else STATE_STYLES.get(state, "")
        return (
            self.node.name,
            Text(state, style=style),
            count(self.status["applied_offset"]),
            "" if leads else count(self.status["lag"]),
            "" if leads else seconds(self.status["lag_seconds"]),
            f"{count(self.rate.per_second)}/s",
            pid,
            self.node.url,
        )


class View:
    """The live table; `refresh` asks the nodes, `draw` shows what they said."""

    def __init__(self, nodes: Sequence[NodeProcess], shop: Shop) -> None:
        self._readings = [Reading(node, Remote(node.url)) for node in nodes]
        self._shop = shop
        self._sales = Rate()
        self.event = ""

    def refresh(self) -> None:
        """Ask every node."""
        for reading in self._readings:
            reading.look()
        self._sales.measure(self._shop.sold, time.monotonic())

    def behind(self) -> list[str]:
        """The nodes that do not hold all that was acknowledged or stands at the master.

        A node that did not answer is among them.
        """
        seen = [reading.applied_offset for reading in self._readings]
        target = max(self._shop.last_offset, *seen)
        return [
            reading.node.name
            for reading in self._readings
            if reading.applied_offset < target or not reading.status
        ]

    def streams(self) -> bool:
        """Whether there is a master, and every other node follows it."""
        roles = [reading.status.get("role") for reading in self._readings]
        states = [reading.status.get("state") for reading in self._readings]
        return roles.count("master") == 1 and set(states) == {"streaming"}

    def status_of(self, node: NodeProcess) -> dict[str, Any]:
        """What `node` says of itself now; empty where it does not answer."""
        for reading in self._readings:
            if reading.node is node:
                reading.look()
                return reading.status
        raise KeyError(node.name)

    def holds(self, node: NodeProcess, offset: int) -> bool:
        """Whether `node` has applied the entry at `offset`."""
        return any(
            reading.node is node and reading.applied_offset >= offset
            for reading in self._readings
        )

    def close(self) -> None:
        """Give the connections back."""
        for reading in self._readings:
            reading.remote.close()

    def draw(self) -> Group:
        """The table, with the shop's counters over it and the news under it."""
        head = Text.assemble(
            ("Nexus demo   ", "bold"),
            f"{count(self._shop.sold)} invoices sold, ",
            f"{count(self._sales.per_second)} per second",
        )
        news = Text(self._shop.last_error or self.event, style="dim")
        if self._shop.last_error:
            news.stylize("red")
        return Group(head, Text(""), self._table(), Text(""), news)

    def _table(self) -> Table:
        table = plain_table()
        table.add_column("node", no_wrap=True, min_width=9)
        table.add_column("state", no_wrap=True, min_width=13)
        for name, width in (("offset", 9), ("lag", 6), ("behind", 7), ("applied", 8)):
            table.add_column(name, justify="right", no_wrap=True, min_width=width)
        table.add_column("process", justify="right", no_wrap=True, min_width=7)
        table.add_column("address", no_wrap=True)
        for reading in self._readings:
            table.add_row(*reading.row())
        return table
