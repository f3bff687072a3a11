"""SIGTERM at the worst of times: a clean end within seconds, and every promise kept."""

import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from e2e.cluster import CONTEXT, Cluster, caught_up, fill, wait_until
from e2e.ledger import Ledger, state
from e2e.serving import hold_a_transaction
from e2e.test_crash import assert_equal

STOP_LIMIT_S = 60.0

pytestmark = pytest.mark.timeout(400)


def test_sigterm_under_load_ends_both_nodes_and_keeps_every_promise(
    cluster: Cluster,
) -> None:
    master = cluster.master()
    replica = cluster.replica(master)
    ledger = Ledger(master)
    for node in (replica, master):
        before = ledger.acknowledged
        wait_until(lambda: ledger.acknowledged > before + 20, "writes flow")  # noqa: B023
        assert node.terminate(STOP_LIMIT_S) == 0
        promised = ledger.promises()
        node.start()
        ledger.check_kept(promised, state(master))
    ledger.finish()
    ledger.check_kept(ledger.promises(), state(master))
    assert_equal(master, [replica])


def test_sigterm_in_a_full_sync_ends_both_nodes_and_a_restart_goes_on(
    cluster: Cluster,
) -> None:
    master = cluster.master(NEXUS_REPLICATION_MAX_LOG_SIZE="50")
    fill(master)
    master.terminate()
    master.start()  # the log no longer reaches back to the beginning
    for victim in ("replica", "master"):
        replica = cluster.replica(master, f"{victim}-ends")
        ended = {"replica": replica, "master": master}[victim]
        wait_until(
            lambda: replica.status()["state"] in {"full_sync", "streaming"},  # noqa: B023
            "it takes a snapshot",
        )
        assert ended.terminate(STOP_LIMIT_S) == 0
        ended.start()
        offset = master.status()["wal_offset"]
        wait_until(lambda: caught_up(replica, offset), "the full sync is done")  # noqa: B023
        assert_equal(master, [replica])


def test_sigterm_does_not_wait_for_clients_that_do_not_read(cluster: Cluster) -> None:
    master = cluster.master()
    fill(master)
    query = b'{"statements": [{"sql": "select * from bulk"}]}'
    request = (
        b"POST /sql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(query), query)
    )
    with (
        socket.create_connection(("127.0.0.1", master.http_port)) as reader,
        socket.create_connection(("127.0.0.1", master.wire_port)) as silent,
    ):
        reader.sendall(request)
        silent.sendall(b"\x01")
        assert reader.recv(1)  # the answer has begun, and is left unread
        assert master.terminate(STOP_LIMIT_S) == 0


def test_a_second_sigterm_changes_nothing(cluster: Cluster) -> None:
    master = cluster.master()
    ledger = Ledger(master)
    wait_until(lambda: ledger.acknowledged > 20, "writes flow")
    assert master.process is not None
    twice = threading.Thread(target=master.process.terminate)
    twice.start()
    assert master.terminate(STOP_LIMIT_S) == 0
    twice.join()
    promised = ledger.promises()
    master.start()
    ledger.finish()
    ledger.check_kept(promised, state(master))


def test_sigterm_takes_back_the_open_transaction_of_an_embedded_node(
    tmp_path: Path,
) -> None:
    here, there = CONTEXT.Pipe()
    application = CONTEXT.Process(target=hold_a_transaction, args=(tmp_path, there))
    application.start()
    assert here.poll(STOP_LIMIT_S)

    application.terminate()
    application.join(STOP_LIMIT_S)

    assert application.exitcode == 0
    with closing(sqlite3.connect(tmp_path / "nexus.db")) as reader:
        assert reader.execute("select * from t").fetchall() == []
