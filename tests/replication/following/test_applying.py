"""How far a replica applies while an operator holds its apply up."""

from nexus.model.position import Offset
from nexus.protocol.messages import Ping
from nexus.replication.effects import Apply
from nexus.replication.following.applying import Applying
from nexus.replication.following.incoming import Incoming
from nexus.replication.settings import RecoveredState
from replication.examples import ONE_REIGN, welcome

DELAY_MS = 60_000


def applying(*, paused: bool = False, delay_ms: int = 0) -> tuple[Applying, Incoming]:
    """Of a replica that holds entries up to 10, of which 4 are applied."""
    recovered = RecoveredState(
        history=ONE_REIGN,
        durable_offset=Offset(10),
        applied_offset=Offset(4),
        written=((Offset(10), 0),) if delay_ms else (),
    )
    log = Incoming(recovered, delay_ms)
    log.met(welcome(10, 10, ONE_REIGN), 0)
    log.matched(ONE_REIGN)
    return Applying(log, paused=paused), log


def test_an_apply_of_all_that_is_committed_is_asked_for_once() -> None:
    found, log = applying()

    assert found.due(0) == (Apply(Offset(10)),)
    assert log.goal == 10
    assert found.due(0) == ()


def test_while_it_is_paused_nothing_is_due_and_what_waited_is_forgotten() -> None:
    found, log = applying()
    found.due(0)

    found.pause()

    assert found.paused
    assert log.goal == log.applied == 4
    assert found.due(0) == ()
    found.resume(at_once=False)
    assert found.due(0) == (Apply(Offset(10)),)


def test_who_was_paused_before_a_restart_asks_for_nothing() -> None:
    found, _ = applying(paused=True)

    assert found.due(0) == ()


def test_up_to_a_chosen_entry_means_no_further_and_not_what_is_uncommitted() -> None:
    found, log = applying(paused=True)

    found.until(Offset(7))
    assert found.due(0) == (Apply(Offset(7)),)
    log.pinged(Ping(0, Offset(20), Offset(20)), 0)
    assert found.due(0) == ()

    found.until(Offset(15))
    assert found.due(0) == (Apply(Offset(10)),)


def test_what_is_held_back_is_due_at_once_if_an_operator_says_so() -> None:
    found, _ = applying(delay_ms=DELAY_MS)
    found.pause()

    found.resume(at_once=False)
    assert found.due(5) == ()
    found.resume(at_once=True)
    assert found.due(6) == (Apply(Offset(10)),)
