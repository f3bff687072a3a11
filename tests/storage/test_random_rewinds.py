"""Whatever a client did after the fork is taken back whole, or nothing is.

WORKLOAD_TRANSACTIONS and WORKLOAD_SEED make it longer and other.
"""

from pathlib import Path

import pytest

from nexus.errors import RewindError
from nexus.model.position import Position
from nexus.storage.capture import Capture
from storage.deposed import Deposed
from storage.pair import LIMIT_BYTES
from storage.test_random_workload import RUNS, SEED, TRANSACTIONS, Run


class Reigns(Run):
    """A node that reigns, is deposed, goes back to the fork, and reigns again."""

    def __init__(self, node: Deposed, seed: int) -> None:
        super().__init__(node.pair, seed)
        self.node = node
        self.rewound = 0
        self.refused: list[str] = []

    def turn(self) -> None:
        """Some batches that all have, some that only this node has, and back."""
        for _ in range(self.chance.randrange(1, 6)):
            self.batch()
        to = self.node.fork()
        self.story.append("-- fork")
        self.workload.schema_stays = True
        for _ in range(self.chance.choice((1, 1, 2, 5))):
            self.batch()
        self.workload.schema_stays = False
        self._go_back(to)
        # A node that is promoted again captures anew, on the same connection.
        self.pair.master.set_mode_capturing()
        self.pair.capture = Capture(self.pair.master, LIMIT_BYTES)

    def _go_back(self, to: Position) -> None:
        node = self.node
        before = node.state()
        try:
            node.rewind(to)
        except RewindError as error:
            assert node.state() == before
            self.refused.append(str(error))
        else:
            self.rewound += 1
            assert node.state() == node.state_at_fork()


def reigned(directory: Path, seed: int, transactions: int) -> Reigns:
    """A run of so many transactions, with both databases compared at its end."""
    with Deposed(directory) as node:
        run = Reigns(node, seed)
        while run.transactions < transactions:
            run.turn()
        run.catch_up()
        run.compare()
        run.examine()
    return run


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("run_number", range(RUNS))
def test_random_transactions_after_a_fork_are_taken_back_whole(
    tmp_path: Path, run_number: int
) -> None:
    run = reigned(tmp_path, SEED + run_number, TRANSACTIONS // RUNS)

    assert run.rewound > len(run.refused) / 4


def test_a_node_that_reigns_again_remembers_nothing_of_its_full_text_indexes(
    tmp_path: Path,
) -> None:
    # FTS5 keeps an index's structure in the connection: with this seed it once wrote
    # what it remembered over what had been taken back.
    run = reigned(tmp_path, 32, 160)

    assert run.rewound > 0
