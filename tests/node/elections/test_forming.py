"""A node with a list of peers waits until the cluster can be formed, and says why."""

import pytest

from nexus.errors import NoMasterError, WrongRoleError
from nexus.model.cluster import LinkState, Role
from nexus.node.elections.forming import Forming
from node.builders import Crowd, run, until
from node.electing import one_of_two


async def test_while_a_peer_is_missing_nothing_is_written_and_the_reason_is_told(
    crowd: Crowd,
) -> None:
    node, _, other = await one_of_two(crowd, replication__heartbeat_ms=20)
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
