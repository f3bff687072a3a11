"""What a replica's log has no room for."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from typing_extensions import override

from nexus.errors import DiskFullError
from nexus.model.entry import Record
from nexus.model.position import Epoch, Offset
from nexus.node.streaming.adapters import ReplicaAdapter
from nexus.node.streaming.effectqueue import EffectQueue
from nexus.node.streaming.outlasting import stored_or_dropped
from nexus.node.telemetry import shortage
from nexus.node.telemetry.shortage import Shortage
from nexus.replication.effects import Apply, Store

WAITING = Store((Record(Epoch(1), Offset(2), b"later"),))


class Voter(ReplicaAdapter):
    """A machine whose master has gone once it was asked so often."""

    def __init__(self, asked_for: int) -> None:
        self.left = asked_for

    @override
    def drops_unstored(self) -> bool:
        """Whether its master has gone."""
        self.left -= 1
        return self.left <= 0


async def stored(machine: object, *, tries: int, failed: bool = False) -> EffectQueue:
    """The queue, once an append that finds room at that try has ended."""
    left, queue = tries, EffectQueue()
    queue.take((WAITING, Apply(Offset(1))))

    async def append() -> None:
        nonlocal left
        left -= 1
        if left:
            raise DiskFullError("no room")

    log = cast("Any", SimpleNamespace(failed=failed))
    space = Shortage(cast("Any", SimpleNamespace(error=print, info=print)))
    await stored_or_dropped(append, log, space, queue, lambda: cast("Any", machine))
    return queue


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortage, "SPACE_RETRY_S", 0.0)


async def test_what_waits_is_stored_once_there_is_room() -> None:
    assert len(await stored(Voter(9), tries=3)) == 2
    assert len(await stored(object(), tries=3)) == 2


async def test_once_its_master_has_gone_nothing_of_it_is_stored() -> None:
    queue = await stored(Voter(2), tries=9)

    assert queue.next_if(Store) is None
    assert queue.next_if(Apply) == Apply(Offset(1))


async def test_a_log_that_has_failed_stops_the_node() -> None:
    with pytest.raises(DiskFullError):
        await stored(Voter(1), tries=9, failed=True)
