from nexus.model.cluster import LinkState, NodeId
from nexus.model.position import Offset
from nexus.protocol.messages import RequestSnapshot
from nexus.replication.effects import (
    MASTER,
    Connect,
    Diverged,
    Level,
    Report,
    Rewind,
    Send,
)
from nexus.replication.following.full_sync import FullSync
from nexus.replication.following.incoming import Incoming
from nexus.replication.following.keeping import Keeping
from nexus.replication.following.link import Link, retries
from nexus.replication.following.rewinding import Rewinding
from nexus.replication.settings import RecoveredState, ReplicaSettings
from replication.examples import TWO_REIGNS, welcome


class Deposed:
    """A log that left the master's history after entry 10, and was welcomed."""

    def __init__(self, end: int = 14, applied: int = 12) -> None:
        settings = ReplicaSettings(addresses=("a",))
        self.link = Link(settings, lambda: 0.0)
        self.log = Incoming(
            RecoveredState(
                history=TWO_REIGNS,
                durable_offset=Offset(end),
                applied_offset=Offset(applied),
            )
        )
        keeping, wait = Keeping(self.log), retries(settings, lambda: 0.0)
        full_sync = FullSync(NodeId("b"), self.link, self.log, keeping, wait)
        self.rewinding = Rewinding(self.link, self.log, keeping, full_sync)
        self.link.started()
        self.connect()

    def connect(self) -> None:
        self.link.connected(0)
        self.link.welcomed(1_000, 0)
        self.log.met(welcome(), 0)


def test_entries_are_kept_then_taken_back_to_the_position_of_the_fork() -> None:
    node = Deposed()

    diverged, rewind = node.rewinding.begin(Offset(10))

    assert isinstance(diverged, Diverged)
    assert diverged.after == 10
    assert rewind == Rewind(TWO_REIGNS.position_at(Offset(10)))
    assert node.link.state is LinkState.REWINDING
    assert node.link.awaits_disk


def test_afterwards_the_log_ends_at_the_fork_and_the_old_reign_is_gone() -> None:
    node = Deposed()
    node.rewinding.begin(Offset(10))

    assert node.rewinding.ended() == ()

    log = node.log
    assert (log.received, log.durable, log.applied, log.goal) == (10, 10, 10, 10)
    assert [reign.epoch for reign in log.history.reigns] == [1]
    assert node.rewinding.completed == 1
    assert not node.link.awaits_disk


def test_a_database_that_has_not_come_to_the_fork_stays_where_it_is() -> None:
    node = Deposed(applied=7)
    node.rewinding.begin(Offset(10))

    node.rewinding.ended()

    assert (node.log.received, node.log.applied) == (10, 7)


def test_what_cannot_be_taken_back_is_replaced_and_not_exported_twice() -> None:
    node = Deposed()
    node.rewinding.begin(Offset(10))

    effects = node.rewinding.failed("a schema statement", 0)

    assert effects == (
        Report(Level.WARNING, "rewind_failed", "a schema statement"),
        Send(MASTER, RequestSnapshot(NodeId("b"), takes_growing=True)),
    )
    assert node.link.state is LinkState.FULL_SYNC
    assert node.link.last_error == "a schema statement"
    assert node.log.received == 14
    assert node.rewinding.completed == 0


def test_a_rewind_outlives_its_connection_and_then_asks_for_the_next() -> None:
    node = Deposed()
    node.rewinding.begin(Offset(10))

    assert node.link.broken("lost") == ()
    assert node.rewinding.ended() == (Connect("a", 0),)
    assert node.link.state is LinkState.RECONNECTING


def test_a_rewind_that_fails_without_a_connection_asks_for_one_later() -> None:
    node = Deposed()
    node.rewinding.begin(Offset(10))
    node.link.broken("lost")

    report, connect = node.rewinding.failed("a schema statement", 0)

    assert isinstance(report, Report)
    assert connect == Connect("a", 1_000)
