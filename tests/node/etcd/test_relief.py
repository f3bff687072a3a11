"""A master under etcd whose disk is full does not keep the key for ever."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nexus.errors import ClusterChangeError, DiskFullError
from nexus.node.etcd import relief
from nexus.node.etcd.holding import Keyholding
from nexus.node.etcd.relief import Relief
from nexus.node.node import Node
from nexus.node.roles.reigning import Reigning
from nexus.node.transactions import TransactionManager
from node.builders import caught_up, count, run, until
from node.keepers import Keepers, etcd, holding, keepers, opened, streams

__all__ = ["etcd", "keepers"]


def fill(monkeypatch: pytest.MonkeyPatch, node: Node) -> None:
    """From now on nothing is written there, as on a full disk."""
    managers = {holding(node).reigning}
    run_there = TransactionManager.run

    async def refused(manager: TransactionManager, call: object) -> object:
        if any(one and one.manager is manager for one in managers):
            raise DiskFullError("the disk is full")
        return await run_there(manager, call)  # type: ignore[arg-type]  # passed on

    full = property(lambda one: one in managers)
    monkeypatch.setattr(Reigning, "lacks_space", full)
    monkeypatch.setattr(TransactionManager, "run", refused)
    monkeypatch.setattr(Keyholding, "lease_s", 0.2)


async def test_a_master_whose_disk_stays_full_hands_over_to_one_that_has_space(
    keepers: Keepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await keepers.pair()
    await run(first, "create table t(n)", "insert into t values (1)")

    fill(monkeypatch, first)
    await until(lambda: opened(second))

    monkeypatch.undo()
    await until(lambda: streams(first))
    await caught_up(first, await run(second, "insert into t values (2)"))
    assert await count(first) == 2


async def test_who_lacks_space_too_is_no_heir_and_an_attempt_that_fails_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []
    lacking = [SimpleNamespace(id="b", no_space=True)]
    reigning = SimpleNamespace(
        lacks_space=True, machine=SimpleNamespace(replicas=lambda _: lacking)
    )
    holding = SimpleNamespace(
        reigning=reigning, lease_s=0.0, heirs=frozenset({"a", "b", "c"})
    )

    async def refuses(_parts: object, _holding: object, heir: str) -> None:
        tried.append(heir)
        raise ClusterChangeError("has not taken over in time")

    monkeypatch.setattr(relief, "hand_key_over", refuses)
    one = Relief(
        cast("Any", SimpleNamespace(state=SimpleNamespace(node_id="a"), is_led=False))
    )
    for _ in range(2):
        one.tick(cast("Any", holding))
        one.tick(cast("Any", holding))  # while the first attempt is under way
        await asyncio.sleep(0.01)
    assert tried == ["c", "c"]

    holding.heirs = frozenset({"a", "b"})
    one.tick(cast("Any", holding))
    reigning.lacks_space = False
    one.tick(cast("Any", holding))
    await asyncio.sleep(0.01)
    assert tried == ["c", "c"]
    one.stop()
