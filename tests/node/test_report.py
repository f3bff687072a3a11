"""What a node says of itself, made of its parts and its role."""

import errno

import apsw
import pytest

from nexus.errors import StorageError
from nexus.model.cluster import LinkState, Mode, Role
from nexus.model.position import EpochHistory, Offset
from nexus.node.report import DutyReport, failure_of, node_status
from node.builders import Crowd, run

DUTY = DutyReport(
    connected=True,
    commit_offset=Offset(7),
    lag=3,
    lag_seconds=1.5,
    replica_count=2,
    master_id="m",
    master_url="http://m",
    state=LinkState.FULL_SYNC,
    paused=True,
    last_error="the duty's",
)


def test_a_node_that_has_failed_says_why_where_and_what_to_do() -> None:
    def met(error: Exception) -> str:
        with pytest.raises(type(error)) as caught:
            fail(error)
        return failure_of(caught.value)

    def fail(error: Exception) -> None:
        raise error

    known = met(StorageError("the disk failed; replace it"))
    refused = met(OSError(errno.EINVAL, "Invalid argument", "wal/1.wal"))
    bug = met(AssertionError("no move: a to b"))

    assert known == "this node has failed: the disk failed; replace it"
    assert refused.startswith(
        "this node has failed: wal/1.wal: Invalid argument in test_report.py:"
    )
    assert refused.endswith(
        "look at its disk and at the system's log, then start it again"
    )
    assert bug.startswith("this node has failed by a bug in test_report.py:")
    assert "AssertionError: no move: a to b; start it again, and report" in bug
    unreadable = met(apsw.CorruptError("database disk image is malformed"))
    assert "a database of it: database disk image is malformed in test_" in unreadable
    assert unreadable.endswith("the system's log, then start it again")
    assert "no more memory in test_report.py:" in met(MemoryError())
    assert failure_of(OSError("gone")).startswith("this node has failed: gone; look")


async def test_the_duty_knows_how_it_fares_and_the_parts_know_the_rest(
    crowd: Crowd,
) -> None:
    node = await crowd.node("node", replication__auto_failover=False)
    written = await run(node, "create table t(v)")

    status = node_status(node._parts, Role.REPLICA, DUTY, EpochHistory(), "")

    assert (status.role, status.mode, status.running) == (
        Role.REPLICA,
        Mode.ASYNC,
        True,
    )
    assert (status.connected, status.paused, status.auto_failover) == (
        True,
        True,
        False,
    )
    assert (status.commit_offset, status.lag, status.lag_seconds) == (7, 3, 1.5)
    assert (status.master_id, status.master_url) == ("m", "http://m")
    assert (status.replica_count, status.state) == (2, LinkState.FULL_SYNC)
    assert status.wal_offset == status.durable_offset == written.offset
    assert status.applied_offset == written.offset
    assert status.node_id == node.node_id
    assert status.epoch == written.epoch
    assert status.has_database
    assert status.last_error == "the duty's"


async def test_a_failure_is_told_before_anything_that_the_role_says(
    crowd: Crowd,
) -> None:
    node = await crowd.node("node")

    status = node_status(
        node._parts, Role.MASTER, DUTY, EpochHistory(), "the disk is gone"
    )

    assert not status.running
    assert status.last_error == "the disk is gone"


async def test_a_node_without_a_database_stands_at_the_beginning(crowd: Crowd) -> None:
    node = await crowd.node("node", "replica", replication__master_addr="127.0.0.1:1")

    status = node_status(node._parts, Role.REPLICA, DutyReport(), EpochHistory(), "")

    assert not status.has_database
    assert (status.applied_offset, status.state) == (0, LinkState.STOPPED)
