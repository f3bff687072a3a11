from nexus.replication.elections.moves import CAMPAIGNS, MOVES, REIGNS, ElectionState


def test_every_state_can_be_left_and_reached() -> None:
    assert set(MOVES) == set(ElectionState)
    assert {to for moves in MOVES.values() for to in moves} == set(ElectionState)


def test_mastership_is_reached_by_votes_alone() -> None:
    ways = {state for state, to in MOVES.items() if ElectionState.MASTER in to}

    assert ways == {ElectionState.CANDIDATE, ElectionState.HANDING_OVER}
    assert not CAMPAIGNS & REIGNS
