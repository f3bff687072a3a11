"""The checker of histories, itself checked."""

import itertools
import random

import pytest

from sim.linearizable import NEVER, Operation, explain, is_linearizable


def wrote(value: str, began: float, ended: float = NEVER) -> Operation:
    return Operation("x", value, began, ended, is_write=True)


def read(value: str, began: float, ended: float) -> Operation:
    return Operation("x", value, began, ended, is_write=False)


@pytest.mark.parametrize(
    "history",
    [
        [],
        [read("", 0, 1)],
        [wrote("a", 0, 1), read("a", 2, 3)],
        [wrote("a", 0, 5), read("", 1, 2), read("a", 3, 4)],
        [wrote("a", 0, 9), wrote("b", 0, 9), read("b", 1, 2), read("a", 3, 4)],
        [wrote("a", 0), read("", 1, 2), read("a", 3, 4)],
        [wrote("a", 0), wrote("b", 1, 2), read("b", 3, 4), read("a", 5, 6)],
    ],
)
def test_what_one_register_can_have_done_is_accepted(history: list[Operation]) -> None:
    assert is_linearizable(history)


@pytest.mark.parametrize(
    "history",
    [
        [read("a", 0, 1)],
        [wrote("a", 0, 1), read("", 2, 3)],
        [wrote("a", 0, 5), read("a", 1, 2), read("", 3, 4)],
        [wrote("a", 0, 1), wrote("b", 2, 3), read("a", 4, 5)],
        [wrote("a", 5), read("a", 1, 2)],
        [wrote("a", 0), read("a", 1, 2), wrote("b", 3, 4), read("a", 5, 6)],
    ],
)
def test_what_no_register_can_have_done_is_refused(history: list[Operation]) -> None:
    assert not is_linearizable(history)


def test_keys_are_registers_of_their_own() -> None:
    good = [wrote("a", 0, 1), Operation("y", "", 2, 3, is_write=False)]

    told = explain([*good, Operation("y", "a", 4, 5, is_write=False)])

    assert explain(good) == ""
    assert "of y" in told
    assert "read a" in told


@pytest.mark.parametrize("seed", range(60))
def test_it_agrees_with_trying_every_order(seed: int) -> None:
    chance = random.Random(seed)
    history = []
    for number in range(6):
        began = chance.randrange(10)
        ended = began + chance.randrange(1, 6)
        if chance.random() < 0.5:
            history.append(wrote(f"{number}", began + 0.1, ended))
        else:
            value = chance.choice(["", "0", "1", "2", "3"])
            history.append(read(value, began + 0.1, ended))

    assert is_linearizable(history) is any(
        _explains(order) for order in itertools.permutations(history)
    )


def _explains(order: tuple[Operation, ...]) -> bool:
    value = ""
    for index, one in enumerate(order):
        if any(later.ended < one.began for later in order[index + 1 :]):
            return False
        if one.is_write:
            value = one.value
        elif one.value != value:
            return False
    return True
