"""A witness's log is shortened only where the catalog can say what stood before it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nexus.model.operation import Configuration
from nexus.model.position import EpochHistory, Offset
from nexus.node.parts import Parts
from nexus.node.roles import machines
from nexus.node.roles.shortening import shorten
from nexus.node.streaming.adapters import ReplicaAdapter
from nexus.storage.catalog import Base, Catalog
from nexus.storage.wal import WalSettings, WriteAheadLog
from storage.logs import batch

MOST = 8
END = 40


class Adapter:
    """A member's, that knows its voters from one entry on."""

    def __init__(self, floor: int, known_from: int = 1) -> None:
        self.floor, self.known_from = floor, known_from
        self.begins = 1

    def retention_floor(self) -> Offset:
        return Offset(self.floor)

    def base_at(self, offset: Offset) -> Base | None:
        if offset < self.known_from:
            return None
        named = Configuration("cluster", (("a", "a:1"),))
        return Base(offset, EpochHistory(), Offset(self.known_from), named)

    def retained(self, first_offset: Offset) -> None:
        self.begins = first_offset


class Witness:
    """Its log and its catalog, and the thread that changes them."""

    def __init__(self, directory: Path) -> None:
        self.catalog = Catalog.open(directory / "catalog.db")
        self.log = WriteAheadLog.open(directory / "wal", WalSettings(max_entries=MOST))
        for first in range(1, END, 4):
            self.log.append(batch(first, 4))
        self.log.sync()
        self.hold = 1 << 40
        self.before: Callable[[], object] = lambda: None

    async def on_worker(self, call: Callable[[], Any]) -> Any:
        self.before()
        return call()

    async def shorten(self, adapter: Adapter) -> None:
        bounds = SimpleNamespace(max_log_size=MOST, hold_size=self.hold)
        config = SimpleNamespace(replication=bounds)
        storage = SimpleNamespace(catalog=self.catalog)
        parts = SimpleNamespace(
            log=self.log,
            state=self.catalog.state,
            config=config,
            storage=storage,
            is_witness=True,
        )
        await shorten(
            cast("Parts", parts), cast("ReplicaAdapter", adapter), self.on_worker
        )


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    (tmp_path / "wal").mkdir()
    return Witness(tmp_path)


async def test_the_catalog_says_where_the_log_goes_on(witness: Witness) -> None:
    adapter = Adapter(floor=21)

    await witness.shorten(adapter)

    base = witness.catalog.state.base
    assert base is not None
    assert base.offset == 20
    assert 1 < witness.log.first_offset <= 21
    assert adapter.begins == witness.log.first_offset


async def test_nothing_goes_while_the_voters_of_that_time_are_not_at_hand(
    witness: Witness,
) -> None:
    await witness.shorten(Adapter(floor=21, known_from=25))

    assert witness.catalog.state.base is None
    assert witness.log.first_offset == 1


@pytest.mark.parametrize("floor", [1, END])
async def test_only_what_is_old_and_what_all_hold_goes(
    witness: Witness, floor: int
) -> None:
    await witness.shorten(Adapter(floor=floor))

    assert witness.log.last_offset - witness.log.first_offset + 1 >= MOST
    assert (witness.log.first_offset == 1) is (floor == 1)


async def test_a_log_that_was_taken_back_meanwhile_is_left_alone(
    witness: Witness,
) -> None:
    witness.before = lambda: witness.log.truncate_after(Offset(10))
    await witness.shorten(Adapter(floor=21))
    assert witness.catalog.state.base is None


async def test_hard_case_11_a_log_that_takes_half_of_its_cap_keeps_what_others_lack(
    witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "LEAST_FILES", 0)
    witness.hold = witness.log.size_bytes

    await witness.shorten(Adapter(floor=END - 2))

    assert witness.log.entry_count < MOST
    assert witness.log.first_offset <= END - 2
