"""Full and broken disks under real processes; what was promised stays, and it heals."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from archive.keeping import keeper, rows_in
from e2e.cluster import (
    Cluster,
    NodeProcess,
    acknowledged,
    caught_up,
    master_of,
    wait_until,
)
from e2e.disks import small_disk
from e2e.test_crash import assert_hashes_equal

DISK_MEGABYTES = 400
"""Two segments of the log, 64 MiB each, the database and its `-wal`."""

pytestmark = pytest.mark.timeout(400)

INSERT = "insert into t(noise) values (randomblob(200000))"


def write_until_refused(master: NodeProcess, path: str = "") -> tuple[int, int]:
    """Large rows until one is refused: how many were acknowledged, and the status."""
    for count in range(5_000):
        answer = master.post(f"{path}/sql", {"statements": [{"sql": INSERT}]})
        if answer.status_code != 200:
            assert "traceback" not in answer.text.lower()
            return count, answer.status_code
    raise AssertionError("the disk never filled")


def row_count(node: NodeProcess, path: str = "") -> int:
    body = {"statements": [{"sql": "select count(*) from t"}]}
    results = node.post(f"{path}/sql", body).json()["results"]
    number: int = results[0]["rows"][0][0]
    return number


@pytest.mark.parametrize("leave", [0, 300_000, 3_000_000])
def test_a_full_disk_refuses_writes_serves_reads_and_heals_when_space_is_freed(
    cluster: Cluster, tmp_path: Path, leave: int
) -> None:
    with small_disk(tmp_path / "disk", megabytes=DISK_MEGABYTES) as disk:
        master = cluster.on_disk(disk, "master")
        replica = cluster.replica(master)
        master.sql("create table t(id integer primary key, noise blob)")
        disk.fill(leave=leave)
        acknowledged, status = write_until_refused(master)
        assert status in {504, 507}
        assert master.post("/sql", {"statements": [{"sql": INSERT}]}).status_code == 507
        assert row_count(master) in {acknowledged, acknowledged + 1}

        disk.free()
        wait_until(
            lambda: (
                master.post("/sql", {"statements": [{"sql": INSERT}]}).status_code
                == 200
            ),
            "it takes writes again",
        )

        assert row_count(master) in {acknowledged + 1, acknowledged + 2}
        assert_hashes_equal(master, [replica])
        cluster.close()


def test_a_full_disk_stops_the_writes_of_every_database_on_it_and_all_of_them_heal(
    cluster: Cluster, tmp_path: Path
) -> None:
    paths = ("", "/databases/orders", "/databases/users")
    create = "create table t(id integer primary key, noise blob)"
    insert = {"statements": [{"sql": INSERT}]}
    with small_disk(tmp_path / "disk", megabytes=3 * DISK_MEGABYTES) as disk:
        master = cluster.on_disk(disk, "master", NEXUS_DATABASES="orders,users")
        for path in paths:
            made = master.post(f"{path}/sql", {"statements": [{"sql": create}]})
            assert made.status_code == 200
            assert master.post(f"{path}/sql", insert).status_code == 200
        disk.fill(leave=300_000)
        refused = {path: write_until_refused(master, path) for path in paths}
        assert {status for _, status in refused.values()} <= {504, 507}
        counts = {path: row_count(master, path) for path in paths}
        for path, (acknowledged, _) in refused.items():
            assert counts[path] in {acknowledged + 1, acknowledged + 2}

        disk.free()
        for path in paths:
            wait_until(
                lambda path=path: master.post(f"{path}/sql", insert).status_code == 200,  # type: ignore[misc]  # a default binds the loop's value
                f"{path or 'the main one'} takes writes again",
            )
        healed = {path: row_count(master, path) for path in paths}
        master.kill()
        master.start()

        assert {path: row_count(master, path) for path in paths} == healed
        for path in paths:
            assert healed[path] in {counts[path] + 1, counts[path] + 2}
        cluster.close()


def test_a_backup_is_restored_onto_a_disk_of_its_own(tmp_path: Path) -> None:
    with keeper(tmp_path) as master:
        master.snapshot()
        master.insert(3)
        master.carry()
        with small_disk(tmp_path / "disk", megabytes=DISK_MEGABYTES) as disk:
            inside = ["nsenter", f"--mount={disk.namespace}", sys.executable, "-m"]
            archive, data = str(tmp_path / "the archive"), str(disk.mount)
            done = subprocess.run(
                [*inside, "nexus", "restore", archive, "--data", data],
                capture_output=True,
                text=True,
                check=False,
            )

            assert done.returncode == 0, done.stderr
            assert not (disk.outside / "restoring").exists()
            shutil.copy(disk.outside / "nexus.db", tmp_path / "nexus.db")
        assert rows_in(tmp_path) == master.rows[master.last]


def test_a_restart_on_a_full_disk_says_so_and_the_next_one_heals(
    cluster: Cluster, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", megabytes=DISK_MEGABYTES) as disk:
        master = cluster.on_disk(disk, "master")
        master.sql("create table t(id integer primary key, noise blob)")
        disk.fill(leave=300_000)
        acknowledged, _ = write_until_refused(master)
        master.kill()
        disk.fill()
        master.start(wait=False)
        wait_until(lambda: not runs_silently(master), "it serves, or says why not")
        master.kill()
        disk.free()
        master.start()
        assert row_count(master) in {acknowledged, acknowledged + 1}
        cluster.close()


def runs_silently(node: NodeProcess) -> bool:
    """Neither serving nor ended with its reason."""
    assert node.process is not None
    if not node.process.is_alive():
        assert node.process.exitcode == 1
        assert "no space" in node.log_text() or "disk is full" in node.log_text()
        return False
    return not node.status()["running"]


def test_a_replica_whose_disk_is_full_heals_when_space_is_freed(
    cluster: Cluster, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", megabytes=DISK_MEGABYTES) as disk:
        master = cluster.master()
        replica = cluster.on_disk(disk, "replica", master.address)
        master.sql("create table t(id integer primary key, noise blob)")
        disk.fill(leave=300_000)
        offset = 0
        for _ in range(400):
            offset = master.sql(INSERT)["offset"]
        wait_until(
            lambda: (
                "full" in replica.status()["last_error"]
                or "space" in replica.status()["last_error"]
            ),
            "it says that its disk is full",
        )
        row_count(replica)
        disk.free()
        wait_until(lambda: caught_up(replica, offset), "it catches up")
        assert_hashes_equal(master, [replica])
        cluster.close()


def test_a_cluster_writes_on_whichever_of_its_three_voters_has_a_full_disk(
    cluster: Cluster, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", megabytes=DISK_MEGABYTES) as disk:
        places = [tmp_path / "a", disk.mount / "full", tmp_path / "b"]
        nodes = [NodeProcess(place, "replica", log_dir=tmp_path) for place in places]
        nodes[1].namespace = str(disk.namespace)
        for node in nodes:
            peers = ",".join(one.address for one in nodes)
            node.settings = {
                "NEXUS_REPLICATION_PEERS": peers,
                "NEXUS_REPLICATION_MODE": "sync",
            }
            cluster.nodes.append(node)
            node.start(wait=False)
        create = "create table if not exists t(id integer primary key, noise blob)"
        acknowledged(nodes, create, "create")
        full = nodes[1]

        def reigns_on_the_small_disk() -> bool:
            master = master_of(nodes)
            if master is not full:
                heir = {"to": full.status()["node_id"]}
                master.post("/replication/switchover", heir)
            return master is full

        wait_until(reigns_on_the_small_disk, "the node on the small disk reigns")
        disk.fill()
        acknowledged([full], INSERT, "the last one there")
        acknowledged(nodes, INSERT, "after the hand-over")
        second = master_of(nodes)
        assert second is not full

        second.kill()
        third = next(node for node in nodes if node not in (full, second))
        # The full one gives its vote, and keeps the log.
        acknowledged([third], INSERT, "after the failover")

        disk.free()
        second.start()
        offset = acknowledged(nodes, INSERT, "with space again")["offset"]
        for node in nodes:
            wait_until(lambda node=node: caught_up(node, offset), "it catches up")  # type: ignore[misc]  # a default binds the loop's value
        assert row_count(full) == 4
        cluster.close()


@pytest.mark.campaign
def test_a_named_database_that_finds_no_space_takes_the_main_one_along(
    cluster: Cluster, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", megabytes=2 * DISK_MEGABYTES) as disk:
        places = [disk.mount / "full", tmp_path / "a", tmp_path / "b"]
        nodes = [NodeProcess(place, "replica", log_dir=tmp_path) for place in places]
        nodes[0].namespace = str(disk.namespace)
        for node in nodes:
            node.settings = {
                "NEXUS_REPLICATION_PEERS": ",".join(one.address for one in nodes),
                "NEXUS_REPLICATION_MODE": "sync",
                "NEXUS_DATABASES": "orders",
                # Slow enough that nobody fails over for want of processor time.
                "NEXUS_REPLICATION_HEARTBEAT_MS": "400",
            }
            cluster.nodes.append(node)
            node.start(wait=False)
        create = "create table if not exists t(id integer primary key, noise blob)"
        acknowledged(nodes, create, "create")
        full, orders = nodes[0], "/databases/orders"

        def masters() -> set[str]:
            """Of both databases, as every node has it."""
            paths = [f"{path}/replication/status" for path in ("", orders)]
            return {node.get(one)["master_id"] for node in nodes for one in paths}

        def reigns_on_the_small_disk() -> bool:
            own = full.status()["node_id"]
            if masters() != {own}:
                master_of(nodes).post("/replication/switchover", {"to": own})
                return False
            return full.post(
                f"{orders}/sql", {"statements": [{"sql": create}]}
            ).is_success

        wait_until(
            reigns_on_the_small_disk, "the node on the small disk reigns in both"
        )
        disk.fill()
        assert write_until_refused(full, orders)[1] in {504, 507}

        wait_until(
            lambda: (
                len(found := masters()) == 1 and full.status()["node_id"] not in found
            ),
            "both databases have one master, which has space",
        )
        reigns = {path: epoch_of(full, path) for path in ("", orders)}
        for _ in range(20):
            told = master_of(nodes).post(
                f"{orders}/sql", {"statements": [{"sql": INSERT}]}
            )
            assert told.status_code == 200, told.text
        assert {path: epoch_of(full, path) for path in ("", orders)} == reigns
        disk.free()
        cluster.close()


def epoch_of(node: NodeProcess, path: str) -> int:
    epoch: int = node.get(f"{path}/replication/status")["epoch"]
    return epoch


def start_and_fail(cluster: Cluster, node: NodeProcess) -> str:
    """The one line with which the start ends."""
    cluster.nodes.append(node)
    node.start(wait=False)
    assert node.wait_ended() == 1
    lines = node.log_text().strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_data_directory_that_is_a_file_is_refused_in_one_line(
    cluster: Cluster, tmp_path: Path
) -> None:
    place = tmp_path / "taken"
    place.write_text("something else")
    line = start_and_fail(cluster, NodeProcess(place))
    assert str(place) in line
    assert place.read_text() == "something else"


def test_a_read_only_disk_is_refused_in_one_line(
    cluster: Cluster, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", megabytes=DISK_MEGABYTES) as disk:
        disk.make_read_only()
        node = NodeProcess(disk.mount / "new", log_dir=tmp_path)
        node.namespace = str(disk.namespace)
        assert "ead-only" in start_and_fail(cluster, node)


def test_a_disk_that_turns_read_only_is_refused_at_the_next_start(
    cluster: Cluster, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", megabytes=DISK_MEGABYTES) as disk:
        master = cluster.on_disk(disk, "master")
        master.kill()
        disk.make_read_only()
        master.log_path.unlink()
        assert "ead-only" in start_and_fail(cluster, master)
        cluster.close()
