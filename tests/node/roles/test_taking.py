"""Whether a reign takes writes: what may follow what."""

from collections.abc import Callable

import pytest

from nexus.errors import NoMasterError
from nexus.node.roles.taking import MOVES, Taking, WriteGate


def gate() -> tuple[WriteGate, list[Callable[[], object] | None]]:
    told: list[Callable[[], object] | None] = []
    return WriteGate(told.append), told


@pytest.mark.parametrize("begun", Taking)
@pytest.mark.parametrize("wanted", Taking)
def test_only_a_move_that_there_is_changes_anything(
    begun: Taking, wanted: Taking
) -> None:
    writes, told = gate()
    writes.taking = begun

    writes.turn(wanted, lambda: NoMasterError("gone"))

    is_move = wanted in MOVES[begun]
    assert writes.taking is (wanted if is_move else begun)
    assert len(told) == is_move


def test_an_end_is_for_good_and_a_hold_until_it_is_undone() -> None:
    assert MOVES[Taking.ENDED] == {Taking.ENDED}
    assert Taking.LACKS_QUORUM not in MOVES[Taking.HELD]
    assert Taking.FREELY in MOVES[Taking.HELD]


def test_a_quorum_matters_where_writes_are_taken_or_lack_one() -> None:
    settled = {taking for taking in Taking if _at(taking).is_settled}
    over = {taking for taking in Taking if _at(taking).is_over}

    assert settled == {Taking.HELD, Taking.ENDED}
    assert over == {Taking.ENDED}


def _at(taking: Taking) -> WriteGate:
    writes, _ = gate()
    writes.taking = taking
    return writes
