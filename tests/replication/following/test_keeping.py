from nexus.model.position import Offset
from nexus.replication.effects import Diverged
from nexus.replication.following.incoming import Incoming
from nexus.replication.following.keeping import Keeping
from nexus.replication.settings import RecoveredState
from replication.examples import ONE_REIGN


def keeping(end: int) -> Keeping:
    recovered = RecoveredState(history=ONE_REIGN, durable_offset=Offset(end))
    return Keeping(Incoming(recovered))


def test_what_is_not_shared_is_kept_once() -> None:
    found = keeping(5)

    (diverged,) = found.after(Offset(3))

    assert isinstance(diverged, Diverged)
    assert diverged.after == 3
    assert found.after(Offset(3)) == ()
    assert len(found.after(Offset(2))) == 1


def test_a_log_that_is_shared_to_its_end_has_nothing_to_keep() -> None:
    assert keeping(5).after(Offset(5)) == ()


def test_entries_that_come_to_stand_at_the_same_offsets_are_kept_again() -> None:
    found = keeping(5)
    first = found.after(Offset(3))

    found.gone()

    assert found.after(Offset(3)) == first
