"""The command `nexus backup`: what is there, whether it is sound, and one more now."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archive.keeping import CLUSTER, Keeper, keeper
from cli.conftest import Run
from cli.fake_nodes import FakeNode
from nexus.storage.fingerprint import fingerprint

Start = Callable[[], FakeNode]


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Keeper]:
    """Six entries: a snapshot at the second, runs behind it."""
    with keeper(tmp_path) as master:
        master.snapshot()
        master.insert(4)
        master.carry()
        yield master


def test_the_list_names_snapshots_and_moments(
    run: Run, master: Keeper, tmp_path: Path
) -> None:
    shown = run("backup", "list", tmp_path / "the archive")
    told = json.loads(run("backup", "list", tmp_path / "the archive", "--json").output)

    assert shown.status == 0, shown.error
    assert "cluster c1" in shown.output
    assert "every moment from offset 2 to 6 can be restored" in shown.output
    assert told[0]["windows"] == [[2, 6]]
    assert [one["offset"] for one in told[0]["snapshots"]] == [2]
    assert told[0]["other_histories"] == []
    assert master.last == 6


def test_the_list_tells_gaps_forks_and_damage(
    run: Run, master: Keeper, tmp_path: Path
) -> None:
    master.insert(2)
    master.snapshot()
    (one,) = master.uploader.look().histories
    other = f"{CLUSTER}/{0:020d}-fork/history.json"
    master.store.put(other, b"{}")
    shown = run("backup", "list", tmp_path / "the archive")
    assert "other histories: fork" in shown.output
    assert "from offset 2 to 6 " in shown.output
    assert "from offset 8 to 8 " in shown.output
    assert "entry 7 missing: nothing after it can be restored" in shown.output

    master.store.put(one.history, b"damaged")
    shown = run("backup", "list", tmp_path / "the archive")
    (told,) = json.loads(
        run("backup", "list", tmp_path / "the archive", "--json").output
    )

    assert shown.status == 0
    assert f"object {one.history} is damaged" in shown.output
    assert (told["windows"], told["snapshots"], told["runs"]) == ([], [], 1)
    assert set(told["other_histories"]) == {"fork", one.history_id}


def test_an_empty_archive_is_no_backup(run: Run, tmp_path: Path) -> None:
    ended = run("backup", "list", tmp_path / "none")

    assert ended.status == 1
    assert "holds nothing of any cluster" in ended.error


def test_a_sound_archive_is_said_to_be_sound(
    run: Run, master: Keeper, tmp_path: Path
) -> None:
    shown = run("backup", "verify", tmp_path / "the archive", "--to-offset", "4")
    told = run("backup", "verify", tmp_path / "the archive", "--json")

    assert shown.status == 0, shown.error
    assert "restored and sound at offset 4 of cluster c1: 1 table, 2 rows" in (
        shown.output
    )
    assert json.loads(told.output)["offset"] == master.last


def test_an_unsound_archive_is_told_in_one_line(
    run: Run, master: Keeper, tmp_path: Path
) -> None:
    (name,) = master.uploader.look().runs
    path = tmp_path / "the archive" / str(name)
    path.write_bytes(path.read_bytes()[:-1])

    ended = run("backup", "verify", tmp_path / "the archive")

    assert ended.status == 1
    assert f"object {name}" in ended.error
    assert ended.error.count("\n") == 1


def archiving(node: FakeNode, offset: int, **archive: Any) -> FakeNode:
    """A master whose archive stands there."""
    status = {
        "role": "master",
        "node_id": "m",
        "cluster_id": CLUSTER,
        "applied_offset": offset,
        "archive": {
            "url": "/backups",
            "offset": offset,
            "snapshots": 1,
            "last_error": "",
            **archive,
        },
    }
    node.on("GET /replication/status", status)
    node.on("GET /replication/replicas", {"replicas": []})
    node.on("POST /replication/verify", {"offset": offset})
    return node


def test_a_snapshot_now_is_waited_for(run: Run, start: Start) -> None:
    node = archiving(start(), 7, snapshots=2)
    node.on("POST /replication/archive", {"snapshots": 1})

    ended = run("backup", "now", node.url)
    told = run("backup", "now", node.url, "--json")

    assert ended.status == 0, ended.error
    assert "/backups holds a new snapshot; everything up to offset 7" in ended.output
    assert json.loads(told.output)["snapshots"] == 2


def test_a_snapshot_that_does_not_come_is_told_with_the_reason(
    run: Run, start: Start
) -> None:
    node = archiving(start(), 7, last_error="the store refuses: 503")
    node.on("POST /replication/archive", {"snapshots": 1})

    ended = run("backup", "now", node.url, "--timeout", "1")

    assert ended.status == 1
    assert "not written to in time: the store refuses: 503" in ended.error


def test_a_node_that_archives_nothing_is_told(run: Run, start: Start) -> None:
    node = start().on("GET /replication/status", {"applied_offset": 1, "archive": None})
    node.on("POST /replication/archive", {"snapshots": 1})

    ended = run("backup", "now", node.url)

    assert ended.status == 1
    assert "archives nothing" in ended.error


def prints_of(master: Keeper) -> dict[str, Any]:
    """What a node answers of its hashes."""
    with master.desk.database.reader() as reader:
        found = fingerprint(reader)
    tables = {
        name: {"rows": one.rows, "hash": one.hash} for name, one in found.tables.items()
    }
    return {"schema": found.schema, "tables": tables}


def test_the_archive_is_compared_with_the_masters_rows(
    run: Run, start: Start, master: Keeper, tmp_path: Path
) -> None:
    node = archiving(start(), 6)
    node.on("GET /replication/verify/6", prints_of(master))

    ended = run("backup", "verify", tmp_path / "the archive", "--node", node.url)

    assert ended.status == 0, ended.error
    assert "4 rows, the same as on the master" in ended.output


def test_rows_that_differ_from_the_masters_fail_the_verification(
    run: Run, start: Start, master: Keeper, tmp_path: Path
) -> None:
    other = prints_of(master)
    other["tables"]["t"]["hash"] = "another"
    node = archiving(start(), 6)
    node.on("GET /replication/verify/6", other)
    arguments = ("backup", "verify", tmp_path / "the archive", "--node", node.url)

    ended = run(*arguments)
    told = run(*arguments, "--json")

    assert ended.status == told.status == 1
    assert "t: not the same in the archive" in ended.error
    assert json.loads(told.output)["different"] == ["t"]


def test_a_master_is_not_compared_at_another_moment(
    run: Run, start: Start, tmp_path: Path
) -> None:
    node = archiving(start(), 6)

    ended = run("backup", "verify", tmp_path, "--node", node.url, "--to-offset", "3")

    assert ended.status == 2
    assert "not at another moment" in ended.error


def test_a_node_without_a_master_cannot_be_compared_with(
    run: Run, start: Start, tmp_path: Path
) -> None:
    node = start().on("GET /replication/status", {"role": "replica", "node_id": "r"})

    ended = run("backup", "verify", tmp_path, "--node", node.url)

    assert ended.status == 1
    assert "knows of no master" in ended.error
