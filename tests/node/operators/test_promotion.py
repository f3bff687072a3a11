"""Who may be made the master by an operator, and who refuses."""

import pytest

from nexus.errors import ClusterChangeError, WrongRoleError
from nexus.model.cluster import LinkState, Role
from nexus.node.operators.promotion import require_promotable
from node.builders import Crowd, until
from node.electing import CREATE, master_among, voters, written
from node.roles.test_following import NOWHERE, duty_of


async def test_a_replica_without_the_clusters_data_cannot_be_promoted(
    crowd: Crowd,
) -> None:
    lonely = await crowd.node("lonely", "replica", replication__master_addr=NOWHERE)

    with pytest.raises(WrongRoleError, match="has never met its master"):
        require_promotable(duty_of(lonely), force=True)


async def test_a_replica_of_a_living_master_is_promoted_by_force_alone(
    crowd: Crowd,
) -> None:
    _, replica = await crowd.followed(CREATE)

    with pytest.raises(WrongRoleError, match="alive and connected"):
        require_promotable(duty_of(replica), force=False)
    require_promotable(duty_of(replica), force=True)

    assert replica.status().role is Role.REPLICA


async def test_a_delayed_voter_counts_in_the_quorum_and_never_reigns(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd, delays={0: 86_400_000})
    late, *others = nodes
    master = await master_among(nodes)
    await written(nodes, CREATE)
    assert late.status().role is Role.REPLICA
    with pytest.raises(ClusterChangeError, match="delayed replica, which never reigns"):
        await master.switch_over(late.node_id)
    with pytest.raises(WrongRoleError, match="delayed replica, which never reigns"):
        await late.promote(force=True)

    (third,) = (node for node in others if node is not master)
    await third.stop()
    await written([master], "insert into t values (1)")

    await until(lambda: late.status().durable_offset == master.status().durable_offset)
    assert late.status().applied_offset == 0
    assert late.status().state is LinkState.STREAMING
