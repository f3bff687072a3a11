"""The demonstration that ends by itself: kill a replica, catch up, compare."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.live import Live

from nexus.cli.cluster import look
from nexus.cli.demo.processes import NodeProcess
from nexus.cli.demo.seller import Shop
from nexus.cli.demo.view import View
from nexus.cli.outcome import NotDoneError
from nexus.cli.terminal import console, count, seconds
from nexus.cli.verify import Fingerprints, comparison, differences, fingerprints

BEFORE_THE_KILL_S: Final = 3.0
WHILE_IT_IS_DEAD_S: Final = 2.0
AFTER_THE_CATCH_UP_S: Final = 1.5
CATCH_UP_TIMEOUT_S: Final = 60.0
VERIFY_TIMEOUT_S: Final = 60.0
REFRESH_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Summary:
    """What happened, and whether every node holds the same."""

    sold: int
    missed: int
    """Entries that were written while the replica was dead."""
    catch_up_s: float
    offset: int
    found: dict[str, Fingerprints]
    invoices: dict[str, int]
    """What plain sqlite3 counts in each node's file."""

    @property
    def different(self) -> list[str]:
        """The tables that are not the same on every node."""
        found = differences(self.found)
        if len(set(self.invoices.values())) > 1 and "Invoice" not in found:
            found.append("Invoice (read by sqlite3)")
        return found

    def document(self) -> dict[str, Any]:
        """For --json."""
        return {
            "equal": not self.different,
            "different": self.different,
            "invoices_sold": self.sold,
            "entries_missed_by_the_killed_replica": self.missed,
            "catch_up_seconds": round(self.catch_up_s, 3),
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


def run_once(
    nodes: Sequence[NodeProcess], shop: Shop, view: View, live: Live | None
) -> Summary:
    """Write, kill a replica in mid-stream, start it again, catch up, compare."""
    story = Story(view, live)
    victim = nodes[-1]
    story.tell(f"{len(nodes)} nodes run; waiting until the replicas stream")
    if not story.watch(CATCH_UP_TIMEOUT_S, lambda: not view.behind()):
        raise NotDoneError(_behind(view, nodes))
    with shop.open():
        story.tell("the shop is open")
        story.watch(BEFORE_THE_KILL_S, lambda: False)
        pid, killed_at = victim.pid, shop.last_offset
        victim.kill()
        story.tell(
            f"kill -9 {pid}: {victim.name} is dead at about offset {count(killed_at)}"
        )
        story.watch(WHILE_IT_IS_DEAD_S, lambda: False)
        target = shop.last_offset
        missed = target - killed_at
        victim.start()
        begun = time.monotonic()
        story.tell(f"{victim.name} starts again, {count(missed)} entries behind")
        if not story.watch(CATCH_UP_TIMEOUT_S, lambda: view.holds(victim, target)):
            raise NotDoneError(_behind(view, nodes))
        catch_up_s = time.monotonic() - begun
        story.tell(f"{victim.name} has them all, and follows the sales")
        story.watch(AFTER_THE_CATCH_UP_S, lambda: False)
    story.tell("the shop is closed; waiting until every replica has everything")
    if not story.watch(CATCH_UP_TIMEOUT_S, lambda: not view.behind()):
        raise NotDoneError(_behind(view, nodes))
    story.tell("comparing every table on every node")
    views = look([node.url for node in nodes], "")
    offset, found = fingerprints(views, "", timeout_s=VERIFY_TIMEOUT_S)
    return Summary(
        sold=shop.sold,
        missed=missed,
        catch_up_s=catch_up_s,
        offset=offset,
        found=found,
        invoices={node.name: count_invoices(node.data_dir) for node in nodes},
    )


def count_invoices(data_dir: Path) -> int:
    """What any other program sees: plain sqlite3 on the node's file."""
    uri = f"{(data_dir / 'nexus.db').resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        number: int = connection.execute("select count(*) from Invoice").fetchone()[0]
        return number


def print_summary(summary: Summary) -> None:
    """The comparison, and the run in three lines."""
    print()
    console().print(comparison(summary.offset, summary.found))
    print()
    print(f"sold      {count(summary.sold)} invoices")
    print(
        f"killed    a replica: it missed {count(summary.missed)} entries, and had them "
        f"{seconds(summary.catch_up_s)} after its restart"
    )
    counts = ", ".join(f"{name} {count(n)}" for name, n in summary.invoices.items())
    print(f"sqlite3   counts these invoices: {counts}")
    if not summary.different:
        print("verified  every table is equal on every node")


def _behind(view: View, nodes: Sequence[NodeProcess]) -> str:
    names = view.behind()
    logs = ", ".join(str(node.log) for node in nodes if node.name in names)
    return (
        f"{', '.join(names)} did not catch up within {CATCH_UP_TIMEOUT_S:.0f} s; "
        f"see {logs}"
    )
