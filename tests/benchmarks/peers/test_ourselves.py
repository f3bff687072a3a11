"""Nexus commits are counted where the others' are, on its replicas."""

from pathlib import Path

from peers.ourselves import doubts, running
from peers.system import CLIENTS, Ground


def test_an_answer_of_one_durable_node_is_a_doubt() -> None:
    assert doubts(0) == ()
    assert doubts(3) == ("3 answers told of fewer than 2 durable nodes",)


async def test_each_acknowledged_row_is_counted_on_both_replicas(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    async with running(Ground(tmp_path, told.append)) as system:
        assert await system.commit(2 * CLIENTS) > 0
        evidence = await system.evidence(2 * CLIENTS)

    assert evidence.rows_on_replicas == (2 * CLIENTS, 2 * CLIENTS)
    assert evidence.doubts == ()
    assert told == ["Nexus starts"]
