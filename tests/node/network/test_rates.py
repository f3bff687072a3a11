import pytest

from nexus.errors import RateLimitedError
from nexus.node.network import rates as module
from nexus.node.network.rates import Rates


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def spent(rates: Rates, caller: str, times: int) -> int:
    """How many of so many requests at once are let through."""
    let_through = 0
    for _ in range(times):
        try:
            rates.spend(caller)
        except RateLimitedError:
            continue
        let_through += 1
    return let_through


def test_a_caller_may_ask_so_often_a_second() -> None:
    clock = Clock()
    rates = Rates(10, clock)

    assert spent(rates, "a", 15) == 10
    assert spent(rates, "b", 5) == 5
    clock.now = 0.5
    assert spent(rates, "a", 15) == 5
    clock.now = 60.0
    assert spent(rates, "a", 15) == 10


def test_who_asks_too_often_is_named_with_the_limit() -> None:
    rates = Rates(1, Clock())
    rates.spend("token shop")
    with pytest.raises(RateLimitedError, match="token shop has made more than 1"):
        rates.spend("token shop")


def test_without_a_limit_nobody_is_counted() -> None:
    rates = Rates(0)
    assert spent(rates, "a", 1_000) == 1_000
    assert not rates._left


def test_no_more_callers_are_remembered_than_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_CALLERS", 2)
    rates = Rates(1, Clock())
    for caller in ("a", "b", "a", "c"):
        spent(rates, caller, 1)
    assert set(rates._left) == {"a", "c"}
