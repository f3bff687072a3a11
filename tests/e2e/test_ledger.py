"""A ledger is read from whatever a killed node has left."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster import NodeProcess
from e2e.ledger import state

DIES_AS_IT_MAKES_ONE = """
import os, sqlite3, sys
making = sqlite3.connect(sys.argv[1], isolation_level=None)
making.execute("pragma cache_size = 1")
making.execute("begin")
making.execute("create table ledger(seq, noise)")
for seq in range(50):
    making.execute("insert into ledger values (?, zeroblob(4000))", (seq,))
os._exit(0)
"""


def test_a_node_that_was_killed_as_it_made_its_database_holds_nothing(
    tmp_path: Path,
) -> None:
    node = NodeProcess(tmp_path)
    command = [sys.executable, "-c", DIES_AS_IT_MAKES_ONE, str(node.database)]

    subprocess.run(command, check=True)

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        node.rows("select * from ledger")
    assert state(node) == []
