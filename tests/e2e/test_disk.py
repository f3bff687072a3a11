"""Full and broken disks under real processes; what was promised stays, and it heals."""

from pathlib import Path

import pytest

from e2e.cluster import Cluster, NodeProcess, caught_up, wait_until
from e2e.disks import small_disk
from e2e.test_crash import assert_hashes_equal

DISK_MEGABYTES = 400
"""Two segments of the log, 64 MiB each, the database and its `-wal`."""

pytestmark = pytest.mark.timeout(120)

INSERT = "insert into t(noise) values (randomblob(200000))"


def write_until_refused(master: NodeProcess) -> tuple[int, int]:
    """Large rows until one is refused: how many were acknowledged, and the status."""
    for count in range(5_000):
        answer = master.post("/sql", {"statements": [{"sql": INSERT}]})
        if answer.status_code != 200:
            assert "traceback" not in answer.text.lower()
            return count, answer.status_code
    raise AssertionError("the disk never filled")


def row_count(node: NodeProcess) -> int:
    results = node.sql("select count(*) from t")["results"]
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
