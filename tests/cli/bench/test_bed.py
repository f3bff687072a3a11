"""A master here, replicas in processes of their own, all ended."""

from pathlib import Path

from nexus.cli.bench.bed import running
from nexus.cli.bench.load import many_clients


async def test_a_replica_follows_and_ends_with_the_cluster(tmp_path: Path) -> None:
    async with running(tmp_path, replicas=1) as cluster:
        (replica,) = cluster.replicas
        assert replica.pid
        assert await many_clients(cluster.node, 64) > 0
        assert cluster.node.status().applied_offset >= 65

    assert not replica.pid
