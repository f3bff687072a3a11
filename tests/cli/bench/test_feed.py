"""The change feed's rate: every change is counted, and one that lacks is an error."""

from collections.abc import Callable

import pytest

from cli.fake_nodes import FakeNode
from nexus.cli.bench.feed import A_TRANSACTION, fill, read
from nexus.cli.outcome import NotDoneError

Start = Callable[[], FakeNode]


def test_each_line_is_a_change(start: Start) -> None:
    node = start().on("GET /changes?from=1&follow=false", b"{}\n" * 30)

    measured = read(node.url, 30)

    assert measured.value is not None
    assert measured.value > 0
    assert measured.detail == "30 changes, 0 MB of JSON"
    with pytest.raises(NotDoneError, match="30 of 31 changes"):
        read(node.url, 31)


def test_rows_are_written_in_transactions_of_a_thousand(start: Start) -> None:
    node = start().on("POST /sql", {})

    fill(node.url, 3 * A_TRANSACTION)

    schema, *inserts = node.bodies("/sql")
    assert "create table" in schema["statements"][0]["sql"]
    assert len(inserts) == 3
    assert inserts[0]["statements"][0]["params"][0] == A_TRANSACTION
