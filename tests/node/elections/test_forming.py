"""A node with a list of peers waits until the cluster can be formed, and says why."""

import pytest

from e2e.cluster import free_port
from nexus.errors import NoMasterError, WrongRoleError
from nexus.model.cluster import LinkState, Role
from nexus.node.elections.forming import Forming
from node.builders import Crowd, run, until


async def test_while_a_peer_is_missing_nothing_is_written_and_the_reason_is_told(
    crowd: Crowd,
) -> None:
    own, other = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    node = await crowd.node(
        "alone",
        "replica",
        replication__bind_addr=own,
        replication__peers=f"{own},{other}",
        replication__heartbeat_ms=20,
    )
    assert isinstance(node._duties.duty, Forming)
    await until(lambda: other in node.status().last_error)
    status = node.status()
    assert (status.role, status.state) == (Role.REPLICA, LinkState.CONNECTING)
    assert status.cluster_id == ""
    assert node.history().reigns == ()
    ready, reason = node.ready(None)
    assert not ready
    assert other in reason
    with pytest.raises(NoMasterError, match="nothing happened"):
        await run(node, "create table t(a)")
    await node._duties.duty.retain()
    assert not node.replica_stats().connected
    with pytest.raises(WrongRoleError, match="there is no cluster yet"):
        await node.promote(force=True)
