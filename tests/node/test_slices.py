"""A thread that wakes often and works briefly is given its turn early."""

import os
import sys
import threading
from collections.abc import Callable

from nexus.node.slices import SLICE_NS, slice_ns, take_short_slices

NEW_ENOUGH = (6, 12)
"""The Linux from which a thread has slices of its own length."""


def _own_lengths() -> bool:
    """Whether this system gives a thread slices of the length that it asks for."""
    if sys.platform != "linux":
        return False
    major, minor, *_ = os.uname().release.split(".")
    return (int(major), int(minor.split("-")[0])) >= NEW_ENOUGH


def _in_a_thread(work: Callable[[], object]) -> None:
    """A thread's slices stay: the test's own are left alone."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_thread_that_asks_has_the_shortest_slices_where_linux_gives_them() -> None:
    found: list[bool] = []

    def ask() -> None:
        before = slice_ns()
        asked = take_short_slices()
        found.append(slice_ns() == (SLICE_NS if asked and _own_lengths() else before))

    _in_a_thread(ask)

    assert found == [True]


def test_its_niceness_stays_as_it_was_and_to_ask_again_changes_nothing() -> None:
    found: list[tuple[int, int]] = []

    def ask() -> None:
        for _ in range(2):
            take_short_slices()
            own = threading.get_native_id() if sys.platform == "linux" else 0
            found.append((os.getpriority(os.PRIO_PROCESS, own), slice_ns()))

    _in_a_thread(ask)

    assert found[0] == found[1]
    assert found[0][0] == os.getpriority(os.PRIO_PROCESS, 0)


def test_what_the_thread_starts_has_slices_as_usual() -> None:
    found: list[int] = []

    def ask() -> None:
        found.append(slice_ns())
        take_short_slices()
        _in_a_thread(lambda: found.append(slice_ns()))

    _in_a_thread(ask)

    assert found[0] == found[1]


def test_a_thread_that_only_runs_when_nobody_else_does_is_left_alone() -> None:
    found: list[bool] = []

    def ask() -> None:
        if sys.platform == "linux":
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            found.append(take_short_slices())
        else:
            found.append(take_short_slices())

    _in_a_thread(ask)

    assert found == [False]
