"""Clients that keep their own record of what a node promised, and the proof of it.

Each transaction appends one row to a ledger and adds it to the totals beside it. The
rows never change and are numbered without a gap, so that any state of any node can be
told to be one that the master once had: it is a beginning of the master's ledger, and
its totals fit its rows.
"""

import sqlite3
import threading
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import httpx
from typing_extensions import override

from e2e.cluster import NodeProcess, wait_until

Row = tuple[int, int, int]
"""seq, lane, number."""

RETRY_S: Final = 0.01

PATIENCE_S: Final = 2.0
"""How long a client waits for an answer before it asks another node."""

SCHEMA: Final = (
    "create table ledger(seq integer primary key, lane int, number int)",
    "create table totals(id integer primary key, entries int, sum int)",
    "insert into totals values (1, 0, 0)",
)
APPEND: Final = (
    "insert into ledger(lane, number, seq) "
    "values (?, ?, (select coalesce(max(seq), 0) + 1 from ledger))"
)
ADD: Final = "update totals set entries = entries + 1, sum = sum + ?"

DIRECT: Final = {"nexus-forwarded-by": "a test's client"}
"""With this header a replica passes no write on: who answers has done it."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One acknowledgement, as its client keeps it."""

    lane: int
    number: int
    url: str
    """Of the node that was asked."""
    is_own: bool
    """Whether this node itself did it now: asked directly, and for the first time."""
    epoch: int
    offset: int
    sent_at: float
    """When the request left, on the monotonic clock."""
    at: float
    """When the answer was there."""


class Lane(threading.Thread):
    """Appends 1, 2, 3, …; repeats an unanswered one under its id until it is done."""

    def __init__(
        self,
        nodes: list[NodeProcess],
        lane: int,
        *,
        pause_s: float = 0,
        direct: bool = False,
    ) -> None:
        super().__init__(daemon=True, name=f"lane-{lane}")
        self.nodes = nodes
        self.promises: list[Promise] = []
        """Every acknowledgement, in order."""
        self.pause_s = pause_s
        """Waited after each acknowledgement."""
        self.direct = direct
        self._is_open_to_doubt = False
        """Whether the number at hand may be done by an attempt without an answer."""
        self.lane = lane
        self.acknowledged = 0
        """Numbers up to this one were promised to be durable."""
        self.refused: list[str] = []
        """Answers that no write should get, in a run in which nodes only die."""
        self._enough = threading.Event()

    @override
    def run(self) -> None:
        turn = 0
        with httpx.Client(timeout=PATIENCE_S, verify=False, trust_env=False) as client:
            while not self._enough.is_set():
                node = self.nodes[turn % len(self.nodes)]
                if self._append(client, node, self.acknowledged + 1):
                    self.acknowledged += 1
                    self._is_open_to_doubt = False
                    if self.pause_s:
                        self._enough.wait(self.pause_s)
                else:
                    turn += 1
                    self._enough.wait(RETRY_S)

    def finish(self) -> None:
        """Write no more; returns when the last answer is there, or will never be."""
        self._enough.set()
        self.join(60.0)
        assert not self.is_alive(), "a client waits for its last answer"
        assert self.refused == []

    def _append(self, client: httpx.Client, node: NodeProcess, number: int) -> bool:
        body = {
            "statements": [
                {"sql": APPEND, "params": [self.lane, number]},
                {"sql": ADD, "params": [number]},
            ],
            "transaction_id": f"{self.lane}-{number}",
        }
        headers = DIRECT if self.direct else None
        sent_at = time.monotonic()
        try:
            answer = client.post(f"{node.url}/sql", json=body, headers=headers)
        except httpx.ConnectError:
            return False
        except httpx.HTTPError:
            self._is_open_to_doubt = True
            return False
        if answer.status_code == 200:
            self._keep(node, number, sent_at, answer.json())
            return True
        if answer.status_code == 504:
            self._is_open_to_doubt = True
        elif answer.status_code not in {503, 507}:
            self.refused.append(answer.text)
        return False

    def _keep(
        self, node: NodeProcess, number: int, sent_at: float, said: dict[str, Any]
    ) -> None:
        assert said["outcome"] == "committed"
        promise = Promise(
            self.lane,
            number,
            node.url,
            self.direct and not self._is_open_to_doubt,
            said["epoch"],
            said["offset"],
            sent_at,
            time.monotonic(),
        )
        self.promises.append(promise)


class Ledger:
    """Several lanes that write to one node, or to whichever answers."""

    def __init__(
        self,
        node: NodeProcess,
        lanes: int = 4,
        *,
        others: list[NodeProcess] | None = None,
    ) -> None:
        schema: dict[str, object] = {"statements": [{"sql": sql} for sql in SCHEMA]}
        schema["transaction_id"] = "schema"
        wait_until(
            lambda: node.post("/sql", schema).status_code == 200, "the ledger is made"
        )
        self.node = node
        nodes = [node, *(others or [])]
        self.lanes = [Lane(nodes, number) for number in range(1, lanes + 1)]
        for lane in self.lanes:
            lane.start()

    @property
    def acknowledged(self) -> int:
        """Transactions that were promised to be durable, by now."""
        return sum(lane.acknowledged for lane in self.lanes)

    def longest_pause_s(self, *, since: float) -> float:
        """The longest time without an acknowledgement, from `since` until now."""
        promises = [one for lane in self.lanes for one in lane.promises]
        answers = sorted(one.at for one in promises if one.at > since)
        moments = [since, *answers]
        return max(later - earlier for earlier, later in pairwise(moments))

    def finish(self) -> None:
        """End the load."""
        for lane in self.lanes:
            lane.finish()

    def promises(self) -> dict[int, int]:
        """For each lane the last number that was acknowledged, by now."""
        return {lane.lane: lane.acknowledged for lane in self.lanes}

    def check_kept(self, promised: dict[int, int], rows: list[Row]) -> None:
        """What was promised is there, once, and each lane is whole up to its end."""
        check_kept(promised, rows)


def check_kept(promised: dict[int, int], rows: list[Row]) -> None:
    """What was promised is there, once, and each lane is whole up to its end."""
    found = Counter((lane, number) for _, lane, number in rows)
    assert [row for row, count in found.items() if count > 1] == []
    numbers: dict[int, list[int]] = {lane: [] for lane in promised}
    for lane, number in found:
        numbers.setdefault(lane, []).append(number)
    for lane, last in promised.items():
        kept = sorted(numbers[lane])
        said = f"lane {lane}: {last} were promised, {len(kept)} are there"
        assert kept == list(range(1, len(kept) + 1)), said
        assert len(kept) >= last, said


def state(node: NodeProcess) -> list[Row]:
    """The ledger as any process reads it; it has no gap, and the totals fit it."""
    if not node.database.exists() or is_being_made(node.database):
        return []  # a replica that has received nothing yet
    with node.reader() as reader:
        reader.execute("begin")
        try:
            rows = reader.execute("select * from ledger order by seq").fetchall()
            totals = reader.execute("select entries, sum from totals").fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []  # the replica has not come so far
            raise
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert totals in ([], [(len(rows), sum(row[2] for row in rows))])
    return rows


def is_being_made(database: Path) -> bool:
    """Whether the transaction that makes it whole, or not at all, has not ended.

    Where a kill has ended it, nobody can read the file before the node is back.
    """
    return database.with_name(f"{database.name}-journal").exists()


def check_beginning(part: list[Row], whole: list[Row]) -> None:
    """`part` is a state that a node had on its way to `whole`."""
    assert part == whole[: len(part)]
