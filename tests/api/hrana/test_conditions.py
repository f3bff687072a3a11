import pytest

from api.fake_stream import FakeStream
from nexus.api.hrana.conditions import Conditions
from nexus.api.hrana.messages import (
    AndCond,
    AutocommitCond,
    BatchCond,
    ErrorCond,
    NotCond,
    OkCond,
    OrCond,
)
from nexus.errors import RequestError


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (None, True),
        (OkCond(0), True),
        (OkCond(1), False),
        (OkCond(2), False),
        (ErrorCond(1), True),
        (ErrorCond(2), False),
        (NotCond(ErrorCond(0)), True),
        (AndCond([]), True),
        (AndCond([OkCond(0), ErrorCond(0)]), False),
        (OrCond([]), False),
        (OrCond([OkCond(1), OkCond(0)]), True),
        (AutocommitCond(), True),
    ],
)
def test_a_condition_looks_at_the_steps_before(
    condition: BatchCond | None,
    holds: bool,  # noqa: FBT001
) -> None:
    conditions = Conditions(FakeStream())
    conditions.note(ok=True, error=False)
    conditions.note(ok=False, error=True)
    conditions.note(ok=False, error=False)

    assert conditions.hold(condition) is holds


def test_a_condition_on_a_step_to_come_is_refused() -> None:
    with pytest.raises(RequestError, match="step 0 names step 0"):
        Conditions(FakeStream()).hold(OkCond(0))
