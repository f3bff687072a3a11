"""What happened to a node reads as a sentence, in the order in which it happened."""

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from nexus.model.cluster import Role
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Reign
from nexus.node.node import Node
from nexus.node.telemetry.events import EventLog
from nexus.node.telemetry.transitions import WHYS, LinkEvents, record_reign
from nexus.replication.effects import Level
from node.builders import Crowd, caught_up, run, until
from node.electing import CREATE, master_among, voters, written
from node.roles.test_rewinding import deposed, parted, together

FIRST = Reign(Epoch(1), HistoryId("f"), "n1", Offset(1), 0, "failover", "sync")


def kinds(node: Node, *, after: int = 0) -> list[str]:
    return [event.kind for event in node.events.since(after)]


def follows(node: Node, master: Node) -> bool:
    status = node.status()
    return status.connected and status.master_id == master.node_id


@pytest.mark.parametrize("why", [*WHYS, "import"])
def test_a_reign_tells_its_epoch_and_why_it_began(why: str) -> None:
    events = EventLog()

    begun = Reign(Epoch(7), HistoryId("h"), "n1", Offset(12), 0, why, "sync")
    record_reign(events, EpochHistory((FIRST, begun)))

    (event,) = events.since(0)
    assert event.kind == "reign_began"
    assert event.detail == f"epoch 7 from entry 12 on: {WHYS.get(why, why)}"


@pytest.mark.parametrize("imported", [True, False])
def test_the_first_master_has_replaced_nobody(*, imported: bool) -> None:
    events = EventLog()
    before = (replace(FIRST, why="import"),) if imported else ()
    begun = Reign(Epoch(2), HistoryId("h"), "n1", Offset(2), 0, "failover", "sync")

    record_reign(events, EpochHistory((*before, begun)))

    (event,) = events.since(0)
    assert event.detail.endswith("the voters have elected it, the first one")


async def test_a_failover_is_told_by_the_nodes_that_are_left(crowd: Crowd) -> None:
    nodes = await voters(crowd)
    master = await master_among(nodes)
    await written(nodes, CREATE)
    left = [node for node in nodes if node is not master]
    await until(lambda: all(follows(node, master) for node in left))
    formed = {node.node_id: node.events.since(0)[-1].id for node in left}

    await master.stop()
    heir = await master_among(left)
    (other,) = [node for node in left if node is not heir]
    await until(lambda: follows(other, heir))
    # Clients may write a moment before that is told.
    since = formed[heir.node_id]
    await until(lambda: "takes_writes" in kinds(heir, after=since))

    told = kinds(heir, after=since)
    first = told.index("election_began")
    assert told.index("link_ended") < first
    assert first < told.index("reign_began", first) < told.index("takes_writes", first)
    assert {"voted", "follows"} <= set(kinds(other, after=formed[other.node_id]))
    assert heir.status().failovers == heir.history().failovers >= 1
    assert heir.events.since(0)[-1].epoch == heir.status().epoch


async def test_a_rewind_is_told_by_the_deposed_master(crowd: Crowd) -> None:
    old, new = await parted(crowd)

    await deposed(old, new)
    await together(old, new)

    told = kinds(old)
    assert told.index("stepping_down") < told.index("rewound")
    assert kinds(new).count("reign_began") == 1


async def test_a_full_sync_and_a_pause_are_told_by_both_sides(crowd: Crowd) -> None:
    master = await crowd.node("master", replication__max_log_size=1)
    await run(master, "create table t(v)")
    await master.make_snapshot()
    replica = await crowd.replica("replica", master)
    await caught_up(replica, await run(master, "insert into t values (1)"))
    replica.pause(None)
    await until(lambda: replica.status().paused)
    replica.resume(None)
    await until(lambda: "resumed" in kinds(replica))

    assert master.status().role is Role.MASTER
    assert "snapshot_made" in kinds(master)
    assert kinds(master).count("replica_joined") >= 1
    told = [kind for kind in kinds(replica) if kind in {"paused", "resumed"}]
    assert told == ["paused", "resumed"]
    assert "follows" in kinds(replica)


def test_an_attempt_that_fails_is_a_line_of_the_log_and_no_event() -> None:
    events = EventLog()

    with capture_logs() as lines:
        LinkEvents(events).ended(Level.WARNING, "10.0.0.9:1 does not answer")

    assert events.since(0) == ()
    assert lines[0]["event"] == "master_not_reached"
    assert lines[0]["detail"] == "10.0.0.9:1 does not answer"
