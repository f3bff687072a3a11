"""A replica's database comes from its master: with its page size and encoding."""

import re
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from nexus.errors import NoDatabaseError, NotFoundError, WrongRoleError
from nexus.model.cluster import Role
from nexus.model.position import Offset
from nexus.node.node import Node
from nexus.node.roles import intake
from nexus.storage.database import Database
from nexus.storage.directory import DataDirectory
from nexus.storage.importing.importer import import_database
from node.builders import (
    Crowd,
    address_of,
    caught_up,
    count,
    open_elsewhere,
    run,
    settings,
    until,
)

CREATE = "create table t(id integer primary key, v text)"
INSERT = "insert into t(v) values ('ä€')"
FORMS = [(8192, "UTF-8"), (4096, "UTF-16le"), (512, "UTF-16be")]


def place(root: Path) -> Path:
    """Where a node's database stands, or will."""
    return DataDirectory(root).database


def made(root: Path, page_size: int, encoding: str) -> None:
    """A directory whose database has no entry yet, and this form."""
    root.mkdir()
    Database.open(place(root), page_size=page_size, encoding=encoding).close()


def imported(root: Path, page_size: int, encoding: str) -> None:
    """A directory whose rows no log holds: a replica gets them by a full sync."""
    source = root.with_suffix(".source")
    with closing(apsw.Connection(str(source))) as connection:
        connection.pragma("page_size", page_size)
        connection.pragma("encoding", encoding)
        connection.execute(f"{CREATE}; {INSERT}")
    import_database(source, DataDirectory(root))


def remove(root: Path) -> None:
    """Take the database away; log and catalog stay."""
    for left in root.glob("nexus.db*"):
        left.unlink()


async def assert_equal(master: Node, replica: Node) -> None:
    """They have the same rows, and the same database file's form."""
    mark = await master.begin_verify()
    found = []
    for node in (master, replica):
        await node.wait_applied(Offset(mark), timeout_s=20)
        await until(lambda: node._parts.verifications.result(mark))  # noqa: B023
        found.append(await node.verification(mark))
    assert found[0] == found[1]


def form(node: Node) -> tuple[int, str]:
    """Of a node's database."""
    return node.database.page_size, node.database.encoding


async def test_a_new_replica_makes_no_database_before_it_meets_its_master(
    crowd: Crowd, tmp_path: Path
) -> None:
    replica = await crowd.node(
        "replica", "replica", replication__master_addr="127.0.0.1:9"
    )

    with pytest.raises(NoDatabaseError, match="has no database yet"):
        await run(replica, "select 1")
    with pytest.raises(NoDatabaseError, match="has no database yet"):
        await replica.make_snapshot()
    with pytest.raises(NotFoundError):
        await replica.verification(Offset(0))
    assert not replica.status().has_database
    assert replica.status().applied_offset == 0
    assert replica.ready(None) == (False, "this replica has no database yet")
    await replica.stop()
    assert not place(tmp_path / "replica").exists()


async def test_it_cannot_be_promoted_before_it_has_one(
    crowd: Crowd, tmp_path: Path
) -> None:
    master, replica = await crowd.followed(CREATE)
    await replica.stop()
    remove(tmp_path / "replica")
    await master.stop()
    bare = await crowd.node(
        "replica", "replica", replication__master_addr="127.0.0.1:9"
    )

    with pytest.raises(WrongRoleError, match="has no database yet"):
        await bare.promote(force=True)


async def test_a_database_that_was_removed_is_made_again_from_the_log(
    crowd: Crowd, tmp_path: Path
) -> None:
    made(tmp_path / "master", 8192, "UTF-16le")
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)
    await caught_up(replica, await run(master, CREATE, INSERT))
    await replica.stop()
    remove(tmp_path / "replica")

    again = await crowd.replica("replica", master)

    await caught_up(again, await run(master, INSERT))
    assert form(again) == (8192, "UTF-16le")
    await assert_equal(master, again)


async def test_a_replica_that_leaves_its_master_before_it_met_it_makes_its_own(
    crowd: Crowd,
) -> None:
    node = await crowd.node(
        "replica", "replica", replication__master_addr="127.0.0.1:9"
    )
    status = await node.start_replication(Role.MASTER, None)

    assert status.has_database
    await run(node, CREATE, INSERT)
    assert (form(node), await count(node)) == ((4096, "UTF-8"), 1)


@pytest.mark.parametrize(("page_size", "encoding"), FORMS)
async def test_a_master_of_any_form_streams_to_a_new_replica(
    crowd: Crowd, tmp_path: Path, page_size: int, encoding: str
) -> None:
    made(tmp_path / "master", page_size, encoding)
    master = await crowd.node("master")
    replica = await crowd.replica("replica", master)
    await caught_up(replica, await run(master, CREATE, INSERT))

    assert replica.replica_stats().full_syncs == 0
    assert form(replica) == form(master) == (page_size, encoding)
    await assert_equal(master, replica)


@pytest.mark.parametrize(("page_size", "encoding"), FORMS)
async def test_a_master_of_any_form_full_syncs_a_new_replica(
    crowd: Crowd, tmp_path: Path, page_size: int, encoding: str
) -> None:
    imported(tmp_path / "master", page_size, encoding)
    master, replica = await crowd.followed(INSERT)

    assert replica.replica_stats().full_syncs == 1
    assert form(replica) == form(master) == (page_size, encoding)
    await assert_equal(master, replica)
    await replica.stop()
    again = await crowd.replica("replica", master)
    await caught_up(again, await run(master, INSERT))
    assert await count(again) == 3


@pytest.mark.parametrize(("page_size", "encoding"), FORMS)
async def test_a_master_of_any_form_full_syncs_a_database_of_another(
    crowd: Crowd, tmp_path: Path, page_size: int, encoding: str
) -> None:
    imported(tmp_path / "master", page_size, encoding)
    made(tmp_path / "replica", 4096, "UTF-8")
    master, replica = await crowd.followed(INSERT)

    assert replica.replica_stats().full_syncs == 1
    assert replica.database.encoding == encoding
    await assert_equal(master, replica)


async def test_another_encoding_waits_for_whoever_has_the_database_open(
    crowd: Crowd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "BUSY_RETRY_S", 0.05)
    imported(tmp_path / "master", 4096, "UTF-16le")
    made(tmp_path / "replica", 4096, "UTF-8")
    master = await crowd.node("master")
    with open_elsewhere(place(tmp_path / "replica")):
        replica = await crowd.node(
            "replica", "replica", replication__master_addr=address_of(master)
        )
        told = re.compile("close them, or end the processes that `fuser ")
        await until(lambda: told.search(replica.status().last_error))
        assert replica.database.encoding == "UTF-8"
    await caught_up(replica, await run(master, INSERT))

    assert replica.status().last_error == ""
    assert replica.replica_stats().full_syncs == 1
    assert (replica.database.encoding, await count(replica)) == ("UTF-16le", 2)


async def test_a_stop_does_not_wait_for_whoever_has_the_database_open(
    crowd: Crowd, tmp_path: Path
) -> None:
    imported(tmp_path / "master", 4096, "UTF-16le")
    made(tmp_path / "replica", 4096, "UTF-8")
    master = await crowd.node("master")
    replica = Node(
        settings(
            tmp_path / "replica",
            "replica",
            replication__master_addr=address_of(master),
        )
    )
    with open_elsewhere(place(tmp_path / "replica")):
        await replica.start()
        await until(lambda: "fuser" in replica.status().last_error)
        await replica.stop()

    again = await crowd.replica("replica", master)
    await caught_up(again, await run(master, INSERT))
    assert again.database.encoding == "UTF-16le"
