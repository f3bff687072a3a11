"""The commit offset on its way from the event loop to the writer thread."""

import threading

import pytest

from nexus.model.position import Offset
from nexus.node.writing.commitment import Commitment, ReignEndedError
from node.builders import PATIENCE_S


def test_what_the_quorum_holds_already_is_not_waited_for() -> None:
    commitment = Commitment(1.0)
    commitment.reached(Offset(5))

    assert commitment.wait(Offset(5), 0)
    assert commitment.offset == 5


def test_the_time_allowed_ends_the_wait_with_false() -> None:
    commitment = Commitment(1.0)
    commitment.reached(Offset(4))

    assert not commitment.wait(Offset(5), 0.001)


def test_an_offset_never_goes_back() -> None:
    commitment = Commitment(1.0)
    commitment.reached(Offset(5))
    commitment.reached(Offset(3))

    assert commitment.offset == 5


def test_a_waiting_thread_wakes_at_its_offset_and_not_before() -> None:
    commitment = Commitment(PATIENCE_S)
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(commitment.wait(Offset(5))))
    waiting.start()

    commitment.reached(Offset(4))
    assert not found
    commitment.reached(Offset(6))
    waiting.join(PATIENCE_S)
    assert found == [True]


def test_the_end_of_the_reign_is_an_error_but_for_what_was_reached() -> None:
    commitment = Commitment(1.0)
    commitment.reached(Offset(5))
    commitment.end("deposed")
    commitment.end("stopped later")

    assert commitment.wait(Offset(5))
    with pytest.raises(ReignEndedError, match="deposed"):
        commitment.wait(Offset(6))


def test_what_a_quorum_holds_is_not_acknowledged_without_the_lease() -> None:
    lease = [False]
    commitment = Commitment(1.0, lease=lambda: lease[0])
    commitment.reached(Offset(5))
    assert not commitment.wait(Offset(5), 0.03)
    lease[0] = True
    assert commitment.wait(Offset(5), 0.03)


def test_in_async_mode_the_lease_alone_is_waited_for() -> None:
    lease = [True]
    commitment = Commitment(1.0, quorum=False, lease=lambda: lease[0])
    assert commitment.wait(Offset(99), 0.0)
    lease[0] = False
    commitment.end("a higher epoch was met")
    with pytest.raises(ReignEndedError, match="higher epoch"):
        commitment.wait(Offset(99), 1.0)
