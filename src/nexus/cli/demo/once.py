"""The demonstration that ends by itself: lose a replica, lose the master, compare."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.live import Live

from nexus.cli.cluster import look
from nexus.cli.demo.failover import Timeline, kill_the_master, master_of
from nexus.cli.demo.processes import NodeProcess
from nexus.cli.demo.seller import Shop
from nexus.cli.demo.view import View
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import Remote
from nexus.cli.terminal import console, count, seconds
from nexus.cli.verify import Fingerprints, comparison, differences, fingerprints

BEFORE_THE_KILL_S: Final = 3.0
WHILE_IT_IS_DEAD_S: Final = 2.0
AFTER_THE_CATCH_UP_S: Final = 1.5
CATCH_UP_TIMEOUT_S: Final = 60.0
VERIFY_TIMEOUT_S: Final = 60.0
REFRESH_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Return:
    """How a node that was killed came back."""

    name: str
    missed: int
    """Entries that were written while it was dead."""
    back_s: float
    """From its restart until it held them all."""
    rewound: bool = False
    """Whether it first took back what only it had."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What happened, and whether every node holds the same."""

    sold: int
    replica: Return
    failover: Timeline
    master: Return
    """The old one, as a replica."""
    offset: int
    found: dict[str, Fingerprints]
    invoices: dict[str, int]
    """What plain sqlite3 counts in each node's file."""
    lost: dict[str, int]
    """Acknowledged sales whose invoice plain sqlite3 does not find there."""

    @property
    def different(self) -> list[str]:
        """The tables that are not the same on every node."""
        found = differences(self.found)
        if len(set(self.invoices.values())) > 1 and "Invoice" not in found:
            found.append("Invoice (read by sqlite3)")
        return found

    @property
    def faults(self) -> list[str]:
        """What should not be, each in a few words; empty where all is well."""
        lost = [
            f"{count(number)} acknowledged sales are not on {name}"
            for name, number in self.lost.items()
            if number
        ]
        different = ", ".join(self.different)
        return lost + ([f"{different}: not the same on every node"] * bool(different))

    def document(self) -> dict[str, Any]:
        """For --json."""
        return {
            "equal": not self.different,
            "different": self.different,
            "invoices_sold": self.sold,
            "acknowledged_and_lost": self.lost,
            "entries_missed_by_the_killed_replica": self.replica.missed,
            "catch_up_seconds": round(self.replica.back_s, 3),
            "failover": self.failover.document(),
            "rejoin": {
                "node": self.master.name,
                "entries_missed": self.master.missed,
                "seconds": round(self.master.back_s, 3),
                "rewound": self.master.rewound,
            },
            "verified_at_offset": self.offset,
            "invoices": self.invoices,
            "nodes": self.found,
        }


class Story:
    """The steps, each told in one line as it happens."""

    def __init__(self, view: View, live: Live | None) -> None:
        self._view = view
        self._live = live
        self._begun = time.monotonic()

    def tell(self, line: str) -> None:
        """Say what happens now."""
        if self._live is not None:
            passed = time.monotonic() - self._begun
            self._live.console.print(f"{passed:5.1f} s  {line}")

    def watch(self, duration_s: float, until: Callable[[], bool]) -> bool:
        """Show the table until `until` holds; False when the time was up first."""
        deadline = time.monotonic() + duration_s
        while time.monotonic() < deadline:
            self._view.refresh()
            if self._live is not None:
                self._live.update(self._view.draw(), refresh=True)
            if until():
                return True
            time.sleep(REFRESH_S)
        return False


class Demonstration:
    """The acts of the story, on running nodes."""

    def __init__(
        self, nodes: Sequence[NodeProcess], shop: Shop, view: View, story: Story
    ) -> None:
        self._nodes = nodes
        self._shop = shop
        self._view = view
        self._story = story

    def play(self) -> Summary:
        """Write, lose a replica, lose the master, get both back, compare."""
        tell, watch = self._story.tell, self._story.watch
        tell(f"{len(self._nodes)} nodes run; waiting until they have a master")
        if not watch(CATCH_UP_TIMEOUT_S, self._view.streams):
            raise NotDoneError(self._behind())
        with self._shop.open():
            tell("the shop is open; a sale is acknowledged once two nodes hold it")
            watch(BEFORE_THE_KILL_S, lambda: False)
            replica = self._lose_a_replica()
            watch(AFTER_THE_CATCH_UP_S, lambda: False)
            failover, master = self._lose_the_master()
            watch(AFTER_THE_CATCH_UP_S, lambda: False)
        tell("the shop is closed; waiting until every replica has everything")
        if not watch(CATCH_UP_TIMEOUT_S, lambda: not self._view.behind()):
            raise NotDoneError(self._behind())
        tell("comparing every table on every node")
        views = look([node.url for node in self._nodes], "")
        offset, found = fingerprints(views, "", timeout_s=VERIFY_TIMEOUT_S)
        there = {node.name: invoices_in(node.data_dir) for node in self._nodes}
        return Summary(
            sold=self._shop.sold,
            replica=replica,
            failover=failover,
            master=master,
            offset=offset,
            found=found,
            invoices={name: len(ids) for name, ids in there.items()},
            lost={name: self._shop.missing(ids) for name, ids in there.items()},
        )

    def _lose_a_replica(self) -> Return:
        master = master_of(self._nodes, self._view)
        victim = [node for node in self._nodes if node is not master][-1]
        pid, killed_at = victim.pid, self._shop.last_offset
        victim.kill()
        self._story.tell(
            f"kill -9 {pid}: the replica {victim.name} is dead at about offset "
            f"{count(killed_at)}"
        )
        self._story.watch(WHILE_IT_IS_DEAD_S, lambda: False)
        return self._bring_back(victim, killed_at)

    def _lose_the_master(self) -> tuple[Timeline, Return]:
        killed_at = self._shop.last_offset
        happened = kill_the_master(self._nodes, self._shop, self._view)
        self._story.tell(
            f"kill -9: the master {happened.killed} is dead; noticed after "
            f"{seconds(happened.detected_s)}, {happened.elected} elected after "
            f"{seconds(happened.elected_s)}, first sale after "
            f"{seconds(happened.first_write_s)}"
        )
        self._story.watch(WHILE_IT_IS_DEAD_S, lambda: False)
        (old,) = (node for node in self._nodes if node.name == happened.killed)
        return happened, self._bring_back(old, killed_at)

    def _bring_back(self, node: NodeProcess, killed_at: int) -> Return:
        target = self._shop.last_offset
        missed = target - killed_at
        node.start()
        begun = time.monotonic()
        self._story.tell(f"{node.name} starts again, {count(missed)} entries behind")
        if not self._story.watch(
            CATCH_UP_TIMEOUT_S, lambda: self._view.holds(node, target)
        ):
            raise NotDoneError(self._behind())
        back_s = time.monotonic() - begun
        with Remote(node.url) as remote:
            rewound = remote.get("/replication/replica/stats")["rewinds"] > 0
        first = "has taken back what only it had, " if rewound else ""
        self._story.tell(f"{node.name} {first}has them all, and follows the sales")
        return Return(node.name, missed, back_s, rewound)

    def _behind(self) -> str:
        names = self._view.behind()
        logs = ", ".join(str(node.log) for node in self._nodes if node.name in names)
        return (
            f"{', '.join(names)} did not catch up within {CATCH_UP_TIMEOUT_S:.0f} s; "
            f"see {logs}"
        )


def run_once(
    nodes: Sequence[NodeProcess], shop: Shop, view: View, live: Live | None
) -> Summary:
    """Play the demonstration; raises NotDoneError where it does not go on."""
    return Demonstration(nodes, shop, view, Story(view, live)).play()


def invoices_in(data_dir: Path) -> set[int]:
    """The ids that any other program sees: plain sqlite3 on the node's file."""
    uri = f"{(data_dir / 'nexus.db').resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        return {key for (key,) in connection.execute("select InvoiceId from Invoice")}


def print_summary(summary: Summary) -> None:
    """The comparison, and the run in three lines."""
    print()
    console().print(comparison(summary.offset, summary.found))
    print()
    print(f"sold      {count(summary.sold)} invoices")
    replica, happened, master = summary.replica, summary.failover, summary.master
    print(
        f"killed    the replica {replica.name}: it missed {count(replica.missed)} "
        f"entries, and had them {seconds(replica.back_s)} after its restart"
    )
    print(
        f"killed    the master {happened.killed}: noticed after "
        f"{seconds(happened.detected_s)}, {happened.elected} elected after "
        f"{seconds(happened.elected_s)}, first sale after "
        f"{seconds(happened.first_write_s)}"
    )
    rewound = "took back what only it had, " if master.rewound else ""
    print(
        f"rejoined  {master.name} {rewound}had the {count(master.missed)} entries it "
        f"missed {seconds(master.back_s)} after its restart"
    )
    counts = ", ".join(f"{name} {count(n)}" for name, n in summary.invoices.items())
    print(f"sqlite3   counts these invoices: {counts}")
    if not summary.faults:
        print(
            "verified  every acknowledged sale is on every node, and every table equal"
        )
