"""When a master that met an epoch of nobody's stands again."""

import pytest

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch
from nexus.replication.elections.effects import VoteRecord
from nexus.replication.elections.renewal import Renewal


@pytest.mark.parametrize(
    ("record", "now_ms"),
    [
        (VoteRecord(Epoch(7)), 300),
        (VoteRecord(Epoch(8)), 299),
        (VoteRecord(Epoch(7), NodeId("b")), 299),
    ],
)
def test_it_is_due_until_a_dead_time_is_over_or_another_epoch_or_vote_came(
    record: VoteRecord, now_ms: int
) -> None:
    renewal = Renewal()
    assert not renewal.is_due(VoteRecord(), 0)

    renewal.begins(Epoch(7), 300)

    assert renewal.is_due(VoteRecord(Epoch(7)), 299)
    assert not renewal.is_due(record, now_ms)
