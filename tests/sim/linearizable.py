"""Whether a history of reads and writes of one register can be put in one order.

Wing and Gong's search, with Lowe's memory of states that led nowhere: operations that
overlap in time may take effect in either order, others only in the order of time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Operation:
    """One client's read or write; `value` is what it read, or wrote."""

    is_write: bool = field(kw_only=True)
    key: str
    value: str
    began: float
    ended: float = NEVER
    """NEVER: its outcome is unknown; it may take effect at any time after its begin."""


def explain(operations: Iterable[Operation], *, initial: str = "") -> str:
    """Which key's history cannot be put in one order; empty if each can."""
    by_key: dict[str, list[Operation]] = {}
    for operation in operations:
        by_key.setdefault(operation.key, []).append(operation)
    for key, history in sorted(by_key.items()):
        if not is_linearizable(history, initial=initial):
            lines = sorted(history, key=lambda one: one.began)
            told = "\n".join(f"  {_told(one)}" for one in lines)
            return f"no order of these explains what clients saw of {key}:\n{told}"
    return ""


def is_linearizable(history: Sequence[Operation], *, initial: str = "") -> bool:
    """Whether one register, of the initial value, can have done all this."""
    seen = {one.value for one in history if not one.is_write}
    # A write of unknown outcome whose value nobody saw may just not have happened.
    counted = [
        one
        for one in history
        if one.ended != NEVER or (one.is_write and one.value in seen)
    ]
    counted.sort(key=lambda one: one.began)
    return _search(counted, initial)


def _search(history: Sequence[Operation], initial: str) -> bool:
    must = sum(1 << index for index, one in enumerate(history) if one.ended != NEVER)
    visited: set[tuple[int, str]] = set()
    stack = [(0, initial)]
    while stack:
        state = stack.pop()
        if state in visited:
            continue
        visited.add(state)
        done, value = state
        if done & must == must:
            return True
        stack += _steps(history, done, value)
    return False


def _steps(
    history: Sequence[Operation], done: int, value: str
) -> Iterable[tuple[int, str]]:
    """What may come next: whatever began before all others that are open ended."""
    open_ = [(i, one) for i, one in enumerate(history) if not done >> i & 1]
    earliest_end = min((one.ended for _, one in open_), default=NEVER)
    for index, one in open_:
        if one.began > earliest_end:
            return
        if one.is_write:
            yield done | 1 << index, one.value
        elif one.value == value:
            yield done | 1 << index, value


def _told(one: Operation) -> str:
    verb = "wrote" if one.is_write else "read"
    return f"{one.began:>8} to {one.ended:>8}: {verb} {one.value or 'nothing'}"
