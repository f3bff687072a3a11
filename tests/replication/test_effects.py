"""What is left of a master's effects where its node only serves a log."""

from nexus.model.position import Epoch, Offset
from nexus.replication.effects import (
    CommitAdvanced,
    Level,
    Peer,
    Report,
    StepDown,
    StopWrites,
    Stream,
    without_orders,
)


def test_who_only_serves_a_log_sends_and_tells_and_concludes_nothing() -> None:
    stream = Stream(Peer("p"), Offset(1), Offset(2), Offset(0))
    told = Report(Level.INFO, "paused", "")
    orders = (
        StepDown(Epoch(2), "", "met"),
        StopWrites("two"),
        CommitAdvanced(Offset(1)),
    )

    assert without_orders((orders[0], stream, *orders[1:], told)) == (stream, told)
