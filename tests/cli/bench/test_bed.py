"""A master here, replicas in processes of their own, all ended."""

from pathlib import Path

from nexus.cli.bench.bed import electing, running
from nexus.cli.bench.load import many_clients
from nexus.model.cluster import Mode, Role


async def test_a_replica_follows_and_ends_with_the_cluster(tmp_path: Path) -> None:
    async with running(tmp_path, replicas=1) as cluster:
        (replica,) = cluster.replicas
        assert replica.pid
        assert await many_clients(cluster.node, 64) > 0
        assert cluster.node.status().applied_offset >= 65

    assert not replica.pid


async def test_of_voters_the_one_in_this_process_reigns(tmp_path: Path) -> None:
    async with electing(tmp_path, others=2) as cluster:
        assert await many_clients(cluster.node, 64) > 0
        status = cluster.node.status()
        assert (status.role, status.mode) == (Role.MASTER, Mode.SYNC)
        others = cluster.replicas
        assert all(one.pid for one in others)

    assert not any(one.pid for one in others)
