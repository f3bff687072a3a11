"""What clients were promised by several masters, held against what the nodes keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from e2e.cluster import NodeProcess
from e2e.ledger import Lane, Promise, Row, check_kept, state


@dataclass(frozen=True, slots=True)
class Reigned:
    """One row of a node's history."""

    first_offset: int
    epoch: int
    master_id: str


class Record:
    """Every acknowledgement of every client."""

    def __init__(self) -> None:
        self.promises: list[Promise] = []
        self.last: dict[int, int] = {}
        """For each lane the last number that was acknowledged."""

    def keep(self, lanes: Sequence[Lane]) -> None:
        """Take over what these have written down; they have ended."""
        for lane in lanes:
            self.promises += lane.promises
            self.last[lane.lane] = lane.acknowledged

    def check(self, nodes: Sequence[NodeProcess]) -> None:
        """Each node's file holds all of it, once, and in the order of the log."""
        rows = state(nodes[0])
        check_kept(self.last, rows)
        assert all(state(node) == rows for node in nodes[1:])
        check_order(self.promises, rows)
        reigns = reigns_of(nodes[0])
        assert all(reigns_of(node) == reigns for node in nodes[1:])
        urls = {str(node.status()["node_id"]): node.url for node in nodes}
        check_reigns(self.promises, reigns, urls)


def reigns_of(node: NodeProcess) -> list[Reigned]:
    """Every reign that this node's database knows of, in order."""
    rows = node.rows(
        "select first_offset, epoch, master_id from nexus_history order by 1"
    )
    return [Reigned(*row) for row in rows]


def check_order(promises: Sequence[Promise], rows: Sequence[Row]) -> None:
    """The rows stand in the order of the offsets that were answered, each its own."""
    offsets = {(one.lane, one.number): one.offset for one in promises}
    found = [
        offsets[lane, number] for _, lane, number in rows if (lane, number) in offsets
    ]
    for earlier, later in pairwise(found):
        assert earlier < later


def check_reigns(
    promises: Sequence[Promise], reigns: Sequence[Reigned], urls: Mapping[str, str]
) -> None:
    """One reign an epoch, and each answer is of the master that reigned at its offset.

    Where its client knows which node has done it, that node is this master.
    """
    for earlier, later in pairwise(reigns):
        assert earlier.epoch < later.epoch
    for one in promises:
        reign = next(r for r in reversed(reigns) if r.first_offset <= one.offset)
        assert one.epoch == reign.epoch, f"{one} stands in {reign}"
        if one.is_own:
            assert one.url == urls[reign.master_id], f"{one} stands in {reign}"
