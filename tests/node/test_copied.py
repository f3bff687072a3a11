"""A voter whose directory is a copy neither votes nor stands before it is filled."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nexus.config import Config
from nexus.config.settings import ReplicationSettings
from nexus.model.cluster import NodeId, Role
from nexus.node.copied import COPIED, notice_copy
from nexus.node.node import Node
from nexus.node.startup import Storage, open_storage
from node.builders import DEAD_TIME_S, Crowd, caught_up, count, run, until
from node.electing import CREATE, voters, written


@contextmanager
def copied(root: Path, config: Config, *others: str) -> Iterator[Storage]:
    """A copy of the directory of a node that votes with these others."""
    first = open_storage(config)
    own = NodeId("own")
    named = tuple((name, f"{name}:1") for name in (own, *others) if others)
    first.catalog.update(node_id=own, voters=named)
    notice_copy(first, config)
    assert first.catalog.state.incomplete == ""
    first.close()
    shutil.copytree(config.data_dir, root / "copy")
    shutil.rmtree(config.data_dir)
    (root / "copy").rename(config.data_dir)
    storage = open_storage(config)
    try:
        notice_copy(storage, config)
        yield storage
    finally:
        storage.close()


def of_etcd(root: Path) -> Config:
    replication = ReplicationSettings(coordinator="etcd")
    return Config(data_dir=root / "data", replication=replication)


def of_voters(root: Path) -> Config:
    return Config(data_dir=root / "data")


def test_a_copy_of_one_of_several_voters_is_incomplete_until_a_master_was_there(
    tmp_path: Path,
) -> None:
    with copied(tmp_path, of_voters(tmp_path), "a", "b") as storage:
        state = storage.catalog.state
        assert (state.incomplete, state.refilled) == (COPIED, True)
        assert state.needs_full_sync == ""
        # Once noticed it is this directory, not noticed again.
        storage.catalog.update(incomplete="")
        notice_copy(storage, of_voters(tmp_path))
        assert storage.catalog.state.incomplete == ""


def test_a_copy_of_a_node_under_etcd_is_incomplete(tmp_path: Path) -> None:
    with copied(tmp_path, of_etcd(tmp_path)) as storage:
        assert storage.catalog.state.incomplete == COPIED


@pytest.mark.parametrize("others", [(), ("own",)], ids=["no voters", "alone"])
def test_a_copy_that_nobody_counts_on_is_as_good_as_the_first(
    tmp_path: Path, others: tuple[str, ...]
) -> None:
    with copied(tmp_path, of_voters(tmp_path), *others[1:]) as storage:
        assert storage.catalog.state.incomplete == ""


def test_where_no_file_system_tells_nothing_is_taken_for_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus.node.copied.birth_of", lambda _: "")
    with copied(tmp_path, of_voters(tmp_path), "a", "b") as storage:
        assert storage.catalog.state.incomplete == ""
        assert storage.catalog.state.born == ""


async def test_an_old_copy_of_a_voter_makes_no_master_without_what_was_acknowledged(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd)
    master = await written(nodes, CREATE)
    behind, victim = (node for node in nodes if node is not master)
    for node in (behind, victim):
        await caught_up(node, await run(master, "insert into t values (1)"))
    await behind.stop()
    await victim.stop()
    place = victim.config.data_dir
    shutil.copytree(place, place.with_name("old"))
    again = [Node(behind.config), Node(victim.config)]
    await again[1].start()
    try:
        await written([master, again[1]], "insert into t values (2)")
        await master.stop()
        await again[1].stop()
        shutil.rmtree(place)
        place.with_name("old").rename(place)

        again[1] = Node(victim.config)
        for node in again:
            await node.start()
        await asyncio.sleep(3 * DEAD_TIME_S)  # some elections
        assert [node.status().role for node in again] == [Role.REPLICA] * 2
        assert again[1].status().last_error == COPIED

        again.append(Node(master.config))
        await again[2].start()
        reigning = await written(again, "insert into t values (3)")
        await until(lambda: not again[1]._parts.state.incomplete)
        await caught_up(again[1], await run(reigning, "insert into t values (4)"))
        assert await count(again[1]) == 5
        assert again[1].replica_stats().full_syncs == 0
    finally:
        for node in again:
            await node.stop()
