"""Answers that are kept for a retry."""

import pytest

from nexus.errors import TransactionError
from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, HistoryId, Offset, Position, Reign
from nexus.node.writing.answers import STORED_ANSWER_LIMIT, answer_again, stored_answer
from nexus.storage.capturing.results import Captured, StatementResult

REIGN = Reign(Epoch(3), HistoryId("cafe"), NodeId("n"), Offset(1), 0, "start")


def kept(value: object) -> bytes:
    """One row's answer as it is kept."""
    result = StatementResult(("a", "b"), [(1, value)], 2, 9)
    return stored_answer(REIGN, Captured((), [result], b""))


def test_a_kept_answer_reads_as_it_was_given() -> None:
    answer = answer_again("id", Offset(7), kept(b"\x00"))

    assert answer.position == Position(Epoch(3), Offset(7), HistoryId("cafe"))
    assert answer.results == [StatementResult(("a", "b"), [(1, b"\x00")], 2, 9)]


def test_of_an_answer_too_large_to_keep_its_offset_is_told() -> None:
    large = kept("x" * STORED_ANSWER_LIMIT)

    assert len(large) < 100
    with pytest.raises(TransactionError, match="committed at offset 7"):
        answer_again("id", Offset(7), large)
