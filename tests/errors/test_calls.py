"""An error of a call carries what its catcher needs."""

from nexus.errors import ChangesGoneError, HandshakeRefusedError, PositionLostError


def test_a_refused_handshake_has_a_reason_for_programs() -> None:
    assert HandshakeRefusedError("no", reason="cluster").reason == "cluster"


def test_a_consumer_of_changes_is_told_where_to_go_on() -> None:
    assert ChangesGoneError("too late", oldest_offset=7).oldest_offset == 7
    assert PositionLostError("taken back", resume_from="2:5").resume_from == "2:5"
