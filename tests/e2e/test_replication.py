"""The whole path with real processes: write here, read there, stop, promote."""

import json
import multiprocessing
import sqlite3
from contextlib import closing
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import pytest

from e2e.cluster import CLIENT, Cluster, caught_up, wait_until
from e2e.test_crash import assert_equal
from nexus.storage.directory import DataDirectory
from nexus.storage.importing.importer import import_database

pytestmark = pytest.mark.timeout(400)


def test_rows_written_on_the_master_are_read_on_replicas_with_plain_sqlite3(
    cluster: Cluster,
) -> None:
    master = cluster.master()
    replicas = [cluster.replica(master, name) for name in ("one", "two")]

    master.sql("create table t(id integer primary key, word text)")
    offset = master.sql("insert into t(word) values (?)", "hello")["offset"]

    for replica in replicas:
        wait_until(lambda: caught_up(replica, offset), "caught up")  # noqa: B023
        assert replica.rows("select word from t") == [("hello",)]
    assert_equal(master, replicas)


def test_a_write_sent_to_a_replica_is_forwarded_to_its_master(
    cluster: Cluster,
) -> None:
    master = cluster.master()
    replica = cluster.replica(master)
    wait_until(lambda: replica.status()["connected"], "connected")

    replica.sql("create table t(id integer primary key, word text)")
    offset = replica.sql("insert into t(word) values ('hi')")["offset"]

    assert master.rows("select word from t") == [("hi",)]
    wait_until(lambda: caught_up(replica, offset), "caught up")


def test_a_retry_with_the_same_transaction_id_is_done_once(cluster: Cluster) -> None:
    master = cluster.master()
    master.sql("create table t(id integer primary key, word text)")

    first = master.sql("insert into t(word) values ('x')", transaction_id="a-1")
    again = master.sql("insert into t(word) values ('x')", transaction_id="a-1")
    master.kill()
    master.start()
    later = master.sql("insert into t(word) values ('x')", transaction_id="a-1")

    assert first["offset"] == again["offset"] == later["offset"]
    assert first["results"] == again["results"] == later["results"]
    assert master.rows("select count(*) from t") == [(1,)]


def read_for_ever(path: Path, pipe: Pipe) -> None:
    """Another process's plain connection: reads until told to stop."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    problems: list[str] = []
    last = ""
    pipe.send("opened")
    is_last = False
    while not is_last:
        is_last = bool(pipe.poll())
        try:
            sums = connection.execute(
                "select count(*), coalesce(sum(one + two), 0) from pairs"
            ).fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                problems.append(str(error))
            is_last = False
            continue
        if sums[1] != 0:
            problems.append(f"torn: {sums}")
        last = json.dumps(sums)
    pipe.send((problems, last))


def test_plain_readers_stay_connected_through_a_full_sync_and_catch_up(
    cluster: Cluster,
) -> None:
    master = cluster.master(NEXUS_REPLICATION_MAX_LOG_SIZE="50")
    replica = cluster.replica(master)
    master.sql("create table pairs(id integer primary key, one int, two int)")
    offset = master.sql("insert into pairs values (1, 5, -5)")["offset"]
    wait_until(lambda: caught_up(replica, offset), "caught up")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    reader = context.Process(target=read_for_ever, args=(replica.database, theirs))
    reader.start()
    try:
        assert ours.recv() == "opened"
        replica.terminate()
        for number in range(400):
            offset = master.sql(
                "insert into pairs(one, two) values (?, ?)", number, -number
            )["offset"]
        master.terminate()
        master.start()  # whole segments are dropped when the log is opened or rolls
        replica.start()
        wait_until(lambda: caught_up(replica, offset), "caught up after the gap")
        ours.send("stop")
        problems, last = ours.recv()
    finally:
        reader.join(60)
        reader.kill()

    assert problems == []
    assert json.loads(last)[0] == 401
    assert_equal(master, [replica])


def test_a_promoted_replica_takes_writes_and_the_old_master_follows_it(
    cluster: Cluster,
) -> None:
    master = cluster.master()
    heir = cluster.replica(master, "heir")
    master.sql("create table t(id integer primary key, word text)")
    offset = master.sql("insert into t(word) values ('kept')")["offset"]
    wait_until(lambda: caught_up(heir, offset), "caught up")
    heir.post("/replication/pause")
    heir.kill()
    lost = master.sql("insert into t(word) values ('only here')")["offset"]
    master.kill()
    heir.start()

    answer = heir.post("/replication/promote", {"force": True})
    assert answer.status_code == 200, answer.text
    heir.sql("insert into t(word) values ('new reign')")
    master.start()

    wait_until(lambda: master.status()["role"] == "replica", "deposed")
    words = [("kept",), ("new reign",)]
    wait_until(
        lambda: master.rows("select word from t order by id") == words,
        "the old master follows",
    )
    kept = master.get("/replication/diverged")
    found = CLIENT.get(
        master.url + f"/replication/diverged/{kept['diverged'][0]['id']}"
    )
    assert "only here" in found.text
    assert lost > offset
    assert_equal(heir, [master])


def test_a_replica_of_another_cluster_is_told_so_and_changes_nothing(
    cluster: Cluster,
) -> None:
    one = cluster.master("one")
    two = cluster.master("two")
    replica = cluster.replica(one)
    offset = one.sql("create table t(id integer primary key)")["offset"]
    wait_until(lambda: caught_up(replica, offset), "caught up")
    replica.terminate()
    replica.master_addr = two.address
    replica.start()

    wait_until(lambda: "cluster" in replica.status()["last_error"], "told so")

    assert replica.rows("select count(*) from t") == [(0,)]


def test_a_replica_of_an_imported_database_takes_a_full_sync_at_once(
    cluster: Cluster,
) -> None:
    source = cluster.directory / "shop.sqlite"
    with closing(sqlite3.connect(source)) as shop:
        shop.execute("create table t(id integer primary key, word text)")
        shop.execute("insert into t(word) values ('sold')")
        shop.commit()
    import_database(source, DataDirectory(cluster.directory / "master"))
    master = cluster.master()
    replica = cluster.replica(master)
    offset = master.sql("insert into t(word) values ('new')")["offset"]

    wait_until(lambda: caught_up(replica, offset), "caught up")

    assert replica.rows("select word from t") == [("sold",), ("new",)]
    wait_until(
        lambda: replica.get("/replication/replica/stats")["full_syncs"] == 1,
        "the full sync is counted",
    )
    assert replica.get("/replication/replica/stats")["apply_conflicts"] == 0
    assert_equal(master, [replica])


def test_vacuum_as_the_only_statement_shrinks_the_file_of_this_node(
    cluster: Cluster,
) -> None:
    master = cluster.master()
    replica = cluster.replica(master)
    master.sql("create table t(id integer primary key, filling blob)")
    master.sql(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 500) "
        "insert into t(filling) select randomblob(2000) from n"
    )
    offset = master.sql("delete from t where id > 5")["offset"]
    wait_until(lambda: caught_up(replica, offset), "caught up")
    (before,) = master.rows("pragma page_count")

    answer = master.sql("vacuum")

    assert answer["offset"] == 0, "nothing is logged"
    (after,) = master.rows("pragma page_count")
    assert after < before
    assert_equal(master, [replica])
    refused = master.post("/sql", {"statements": [{"sql": "vacuum into 'x.db'"}]})
    assert refused.status_code == 422
    assert "make a snapshot instead" in refused.json()["detail"]
