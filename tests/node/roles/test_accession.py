"""A node that is forced to reign says so in its log, and votes alone from then on."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from e2e.cluster import free_port
from nexus.errors import DiskFullError
from nexus.model.cluster import NodeId, Role
from nexus.model.operation import Operation
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Reign
from nexus.node.chronicle import read_chronicle
from nexus.node.clock import now_ms
from nexus.node.elections.voting import Voting
from nexus.node.parts import Parts
from nexus.node.roles import accession
from nexus.node.roles.accession import append_first, stand_alone, take_writes
from nexus.protocol.messages import VoteReply
from nexus.replication.elections.effects import TakeWrites
from nexus.storage.schema.system import read_configuration
from node.builders import Crowd, until
from node.electing import master_among, one_of_two


async def test_a_node_stands_alone_by_an_entry_of_a_far_higher_epoch(
    crowd: Crowd,
) -> None:
    node, own, _ = await one_of_two(crowd)
    parts = node._parts
    parts.storage.catalog.update(cluster_id="c")
    await asyncio.to_thread(stand_alone, parts)
    stored = read_configuration(parts.database.writer)
    assert stored is not None
    assert stored[0] == parts.database.position.offset == parts.log.durable_offset
    assert stored[1].voters == ((node.node_id, own),)
    (reign,) = parts.database.history().reigns
    assert reign.why == "force"
    assert reign.epoch == parts.state.epoch > 100


async def test_who_is_deposed_while_it_begins_to_take_writes_opens_its_own_reign() -> (
    None
):
    own = Reign(Epoch(1), HistoryId("h"), "n", Offset(1), 0, "failover")
    opened: list[Reign] = []
    kept: dict[str, Any] = {}

    async def rest() -> None:
        """Meanwhile the member has met a higher epoch, and its first entry is void."""

    reigning = SimpleNamespace(
        is_open=False,
        machine=SimpleNamespace(history=EpochHistory((own,))),
        open=opened.append,
    )
    voting = SimpleNamespace(
        reigning=reigning,
        following=SimpleNamespace(rest=rest),
        member=SimpleNamespace(history=EpochHistory(), epoch=Epoch(2)),
        parts=SimpleNamespace(
            events=SimpleNamespace(info=lambda *_: None),
            storage=SimpleNamespace(
                catalog=SimpleNamespace(update=lambda **changes: kept.update(changes))
            ),
        ),
    )

    await take_writes(cast("Any", voting), TakeWrites("elected"))

    assert opened == [own]
    assert kept["history_id"] == "h"


async def test_who_is_deposed_while_its_first_entry_is_synced_does_not_fail(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, deposed = asyncio.get_running_loop(), False
    own = f"127.0.0.1:{free_port()}"
    node = await crowd.node(
        "n", "replica", replication__bind_addr=own, replication__peers=own
    )

    async def met_another_epoch() -> None:
        duty = node._duties.duty
        assert isinstance(duty, Voting)
        news = VoteReply(Epoch(9), granted=False)
        duty.take(duty.member.vote(NodeId("b"), news, now_ms()))

    def first(parts: Parts, reign: Reign, operations: tuple[Operation, ...]) -> Offset:
        nonlocal deposed
        if not deposed:
            deposed = True
            asyncio.run_coroutine_threadsafe(met_another_epoch(), loop).result()
        return append_first(parts, reign, operations)

    monkeypatch.setattr(accession, "append_first", first)

    await until(lambda: node.status().role is Role.MASTER and node.status().epoch > 9)

    assert deposed
    assert not node.status().last_error


async def test_a_reign_whose_first_entry_finds_no_space_is_given_up(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Epoch] = []
    own = f"127.0.0.1:{free_port()}"
    node = await crowd.node(
        "n", "replica", replication__bind_addr=own, replication__peers=own
    )

    def first(parts: Parts, reign: Reign, operations: tuple[Operation, ...]) -> Offset:
        tried.append(reign.epoch)
        if len(tried) == 1:
            raise DiskFullError("the disk is full")
        return append_first(parts, reign, operations)

    monkeypatch.setattr(accession, "append_first", first)

    await master_among([node])

    assert len(tried) == 2
    assert tried[1] > tried[0]
    assert not node.status().last_error
    assert "disk_full" in {event.kind for event in node._parts.events.since(0)}
    # The cluster is formed by the entry that stands in the log, and by no other.
    formed = read_chronicle(node._parts.storage).configurations[-1]
    assert formed.offset == 1
    assert formed.configuration.sync_quorum == 0
