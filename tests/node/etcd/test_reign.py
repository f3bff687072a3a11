"""A reign under etcd opens for clients once its first entry is committed."""

import pytest

from nexus.errors import NoMasterError
from nexus.model.position import Offset
from node.builders import run, until
from node.keepers import Keepers, etcd, holding, keepers, opened

__all__ = ["etcd", "keepers"]


async def test_until_others_hold_its_first_entry_a_master_takes_no_writes(
    keepers: Keepers,
) -> None:
    first = await keepers.node("a", "master")
    await until(lambda: holding(first).reigning)

    with pytest.raises(NoMasterError, match="has just taken the leader key"):
        await run(first, "create table t(n)")
    await keepers.node("b")
    await until(lambda: opened(first))

    assert (await run(first, "create table t(n)")).offset


async def test_the_first_entry_is_committed_once(keepers: Keepers) -> None:
    first, _ = await keepers.pair()
    reign = holding(first)._reign
    assert reign is not None

    assert not reign.committed(Offset(reign.machine.commit_offset))
