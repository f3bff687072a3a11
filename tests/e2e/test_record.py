"""The checks of the chaos runs find what they are there for."""

from dataclasses import replace

import pytest

from e2e.ledger import Promise, check_kept
from e2e.record import Reigned, check_order, check_reigns

A, B = "http://a", "http://b"
URLS = {"node-a": A, "node-b": B}
REIGNS = [Reigned(1, 1, "node-a"), Reigned(10, 2, "node-b")]
FIRST = Promise(1, 1, A, is_own=True, epoch=1, offset=5, sent_at=0, at=1)
SECOND = Promise(1, 2, B, is_own=True, epoch=2, offset=11, sent_at=2, at=3)
ROWS = [(1, 1, 1), (2, 1, 2)]


def test_a_record_that_was_kept_passes() -> None:
    check_kept({1: 2}, ROWS)
    check_order([FIRST, SECOND], ROWS)
    check_reigns([FIRST, SECOND], REIGNS, URLS)

    assert len(ROWS) == 2


@pytest.mark.parametrize(
    "rows", [ROWS[:1], ROWS[1:], [*ROWS, (3, 1, 2)]], ids=["end", "middle", "doubled"]
)
def test_a_row_that_is_missing_or_doubled_is_found(
    rows: list[tuple[int, int, int]],
) -> None:
    with pytest.raises(AssertionError):
        check_kept({1: 2}, rows)


@pytest.mark.parametrize("offset", [5, 4])
def test_two_promises_at_one_offset_or_in_another_order_are_found(offset: int) -> None:
    with pytest.raises(AssertionError):
        check_order([FIRST, replace(SECOND, offset=offset)], ROWS)


@pytest.mark.parametrize(
    "second",
    [replace(SECOND, url=A), replace(SECOND, epoch=1), replace(SECOND, offset=9)],
    ids=["another master", "another epoch", "another reign's offset"],
)
def test_an_answer_of_another_master_than_the_one_that_reigned_is_found(
    second: Promise,
) -> None:
    with pytest.raises(AssertionError):
        check_reigns([FIRST, second], REIGNS, URLS)


def test_two_reigns_of_one_epoch_are_found() -> None:
    with pytest.raises(AssertionError):
        check_reigns([], [*REIGNS, Reigned(20, 2, "node-a")], URLS)
