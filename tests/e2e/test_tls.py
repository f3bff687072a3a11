"""Real nodes over TLS: what holds without it holds with it, and strangers stay out."""

import asyncio
import os
import random
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from msgspec.structs import replace
from sqlalchemy import create_engine, text

import nexus
from certificates import DAY, NOW, Office
from e2e.cluster import (
    CLIENT,
    Cluster,
    NodeProcess,
    caught_up,
    fill,
    fingerprints,
    master_of,
    wait_until,
)
from e2e.test_failover import SYNC, check_equal, goes_on, under_load
from e2e.test_strangers import A_HELLO
from nexus.django.base import DatabaseWrapper
from nexus.node.network.handshake import hello_proof
from nexus.protocol.codec import Decoder, encode
from nexus.protocol.messages import Challenge, Error, ErrorCode, Message, Welcome
from nexus.tls.contexts import TlsFiles, client_context

pytestmark = [
    pytest.mark.timeout(400),
    # Where a peer is killed before TLS begins, Python's ssl leaves its socket to the
    # garbage collector (SSLSocket._create, where recv raises).
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
]

STEADY = {"NEXUS_REPLICATION_MISSED_HEARTBEATS": "300"}
"""A connection ends by what the test does, and never since the machine is busy."""


def voters(cluster: Cluster, office: Office) -> list[NodeProcess]:
    return cluster.voters(settings={**SYNC, **office.environment(office.node())})


@contextmanager
def connected(
    nodes: list[NodeProcess], office: Office, **options: Any
) -> Iterator[Any]:
    addresses = ",".join(node.address for node in nodes)
    url = f"nexus://{addresses}?tls=on&ca={office.ca}&timeout=60"
    with closing(nexus.connect(url, autocommit=True, **options)) as connection:
        yield connection


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """`nexus` with these arguments, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "nexus", *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_killed_master_is_replaced_and_nothing_is_lost_over_tls(
    cluster: Cluster, office: Office
) -> None:
    nodes = voters(cluster, office)
    master, ledger = under_load(nodes)
    with connected(nodes, office) as client:
        client.execute("create table kept(id integer primary key)")
        client.execute("insert into kept values (1)")

        master.kill()
        client.execute("insert into kept values (2)")
        goes_on(ledger)
        heir = master_of(nodes, but=master)
        master.start()
        wait_until(lambda: master.status()["role"] == "replica", "it follows")
        goes_on(ledger)

        assert client.execute("select id from kept").fetchall() == [(1,), (2,)]
    check_equal(nodes, ledger)
    assert heir.status()["master_url"].startswith("https://")


@pytest.mark.campaign
def test_a_master_that_stands_still_is_left_without_a_farewell(
    cluster: Cluster, office: Office
) -> None:
    nodes = voters(cluster, office)
    master = master_of(nodes)
    with connected(nodes, office) as client:
        client.execute("create table kept(id integer primary key)")

        master.pause()
        client.execute("insert into kept values (1)")
        heir = master_of([node for node in nodes if node is not master])
        master.resume()
        wait_until(lambda: master.status()["role"] == "replica", "it follows")
        client.execute("insert into kept values (2)")
        offset = client.last_position.offset

    wait_until(lambda: caught_up(master, offset), "it has all")
    assert heir.status()["role"] == "master"
    assert master.rows("select id from kept") == [(1,), (2,)]


def test_a_replica_takes_a_full_sync_over_tls(cluster: Cluster, office: Office) -> None:
    tls = office.environment(office.node())
    master = cluster.master(NEXUS_REPLICATION_MAX_LOG_SIZE="10", **tls)
    fill(master, megabytes=4)
    for number in range(30):
        offset = master.sql("insert into bulk(noise) values (?)", str(number))["offset"]

    replica = cluster.replica(master, **tls)

    wait_until(lambda: caught_up(replica, offset), "it has all")
    assert fingerprints([master, replica], master)[0]
    assert replica.sql("insert into bulk(noise) values ('through a replica')")["offset"]


@contextmanager
def writing(nodes: list[NodeProcess], office: Office) -> Iterator[list[int]]:
    """One connection that writes all the time, and what it has written."""
    written: list[int] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def write() -> None:
        try:
            with connected(nodes, office) as client:
                while not done.is_set():
                    number = len(written)
                    client.execute("insert into kept values (?)", (number,))
                    written.append(number)
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=write)
    thread.start()
    try:
        wait_until(lambda: written or failures, "the first one is written")
        yield written
        before = len(written)
        wait_until(lambda: len(written) > before or failures, "it goes on")
    finally:
        done.set()
        thread.join()
    assert failures == []


def shown_at(node: NodeProcess, office: Office) -> bytes:
    """The certificate that a new connection to its HTTP port is shown."""
    context = client_context(office.nobody())
    with (
        httpx.Client(verify=context) as client,
        client.stream("GET", f"{node.url}/health") as answer,
    ):
        spoken = answer.extensions["network_stream"].get_extra_info("ssl_object")
        found: bytes = spoken.getpeercert(True)  # noqa: FBT003 - of OpenSSL's object
        return found


def connections_of(node: NodeProcess) -> int:
    """How often a replica has connected to its master again."""
    reconnects: int = node.get("/replication/stats")["reconnects"]
    return reconnects


def test_certificates_are_exchanged_under_load_and_no_connection_is_lost(
    cluster: Cluster, office: Office
) -> None:
    tls = STEADY | office.environment(office.node(days=30))
    master = cluster.master(**tls)
    master.sql("create table kept(id integer primary key)")
    replica = cluster.replica(master, **tls)
    wait_until(lambda: replica.status()["connected"], "connected")
    before = shown_at(master, office)
    expires_s = expiry_told(master)
    reconnects = connections_of(replica)

    with (
        writing([master], office) as written,
        httpx.Client(verify=client_context(office.nobody())) as kept_alive,
    ):
        kept_alive.get(f"{master.url}/health")
        files = office.node(days=90)
        master.hang_up()
        wait_until(lambda: shown_at(master, office) != before, "the new one is shown")
        wait_until(lambda: shown_at(replica, office) != before, "there too, by itself")
        assert kept_alive.get(f"{master.url}/health").status_code == 200
        other = Office.opened(office.directory / "other")
        office.ca.write_bytes(office.ca.read_bytes() + other.ca.read_bytes())
        for node in (master, replica):
            node.hang_up()
        wait_until(lambda: lets_in(master, other, office), "the new CA lets in too")

    rows = master.sql("select count(*) from kept")["results"][0]["rows"]
    assert rows == [[len(written)]]
    assert connections_of(replica) == reconnects
    assert expiry_told(master) == pytest.approx(expires_s + 60 * 86_400, abs=600)
    assert "certificate_reloaded" in replica.log_text()
    assert files.cert is not None


def expiry_told(node: NodeProcess) -> float:
    """When its certificate ends: status and metrics agree."""
    found: float = node.status()["certificate_expires"]
    metrics = CLIENT.get(f"{node.url}/metrics").text
    [told] = re.findall(
        r"^nexus_certificate_expiry_timestamp_seconds (\S+)$", metrics, re.MULTILINE
    )
    assert float(told) == found
    return found


def lets_in(node: NodeProcess, other: Office, office: Office) -> bool:
    """Whether a certificate of the other CA is taken."""
    shown = other.client()
    files = TlsFiles(shown.cert, shown.key, office.ca)
    with httpx.Client(verify=client_context(files)) as client:
        return client.get(f"{node.url}/health").status_code == 200


def logged(node: NodeProcess, words: str) -> bool:
    return words in node.log_text()


def told(node: NodeProcess, words: str) -> None:
    wait_until(lambda: words in node.status()["last_error"], f"told: {words}")
    assert "\n" not in node.status()["last_error"]


def test_a_node_of_another_ca_learns_nothing_and_both_say_why(
    cluster: Cluster, office: Office, tmp_path: Path
) -> None:
    other = Office.opened(tmp_path / "other")
    master = cluster.master(**office.environment(office.node()))
    master.sql("create table secret(v)")

    stranger = cluster.replica(master, "stranger", **other.environment(other.node()))
    told(stranger, "its certificate is of a CA that is not trusted here")
    trusting = other.node("trusting")
    mixed = {**other.environment(trusting), "NEXUS_TLS_CA_FILE": str(tmp_path / "both")}
    (tmp_path / "both").write_bytes(office.ca.read_bytes() + other.ca.read_bytes())
    bold = cluster.replica(master, "bold", **mixed)
    told(bold, "it does not trust the CA of this side's certificate")

    wait_until(
        lambda: "of a CA that is not trusted here" in master.log_text(), "logged there"
    )
    assert master.status()["replica_count"] == 0
    for node in (stranger, bold):
        assert not node.status()["has_database"]


def test_a_clients_certificate_makes_no_node(cluster: Cluster, office: Office) -> None:
    master = cluster.master(**office.environment(office.node()))
    client = office.client()

    with pytest.raises(AssertionError, match="other nodes would refuse"):
        cluster.replica(master, **office.environment(client))

    assert master.status()["replica_count"] == 0


def test_plain_and_tls_nodes_tell_each_other_what_they_are(
    cluster: Cluster, office: Office
) -> None:
    tls = office.environment(office.node())
    master, plain_master = cluster.master(**tls), cluster.master("plain-master")

    plain = cluster.replica(master, "plain")
    speaks = cluster.replica(plain_master, "speaks", **tls)

    told(plain, "this port speaks TLS")
    told(speaks, "it does not speak TLS on this port")
    for node, words in (
        (master, "it speaks plainly where TLS is spoken"),
        (plain_master, "the peer speaks TLS, and this port does not"),
    ):
        wait_until(partial(logged, node, words), words)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("expired", "has expired on"),
        ("future", "is not valid before"),
        ("alone", "other nodes would refuse tls.cert_file"),
        ("missing", "cannot be read: No such file"),
        ("half", "tls.cert_file and tls.key_file go together"),
    ],
)
def test_a_node_that_nobody_would_take_does_not_start(
    office: Office, tmp_path: Path, kind: str, words: str
) -> None:
    makers: dict[str, Callable[[], TlsFiles]] = {
        "expired": lambda: office.dated("past", NOW - 2 * DAY, NOW - DAY),
        "future": lambda: office.dated("future", NOW + DAY, NOW + 2 * DAY),
        "alone": office.alone,
        "missing": lambda: TlsFiles(tmp_path / "a", tmp_path / "b", office.ca),
        "half": office.node,
    }
    files = makers[kind]()
    environment = office.environment(files)
    if kind == "half":
        del environment["NEXUS_TLS_KEY_FILE"]

    ended = command("serve", "--data", tmp_path / "data", **environment)

    assert ended.returncode == 1
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_the_commands_ask_over_tls_and_say_what_is_missing(
    cluster: Cluster, office: Office
) -> None:
    tls = office.environment(office.node())
    master = cluster.master(**tls)
    replica = cluster.replica(master, **tls)
    wait_until(lambda: replica.status()["connected"], "connected")

    shown = command("status", replica.url, "--ca", office.ca)
    without_scheme = f"127.0.0.1:{master.http_port}"
    by_environment = command("status", without_scheme, NEXUS_CA_FILE=str(office.ca))
    verified = command("verify", master.url, "--ca", office.ca)
    asked = command("sql", master.url, "select 7 as n", "--ca", office.ca, "--json")
    strange = command("status", master.url)
    plain = command("status", f"http://{without_scheme}")

    assert [shown.returncode, by_environment.returncode, verified.returncode] == [0] * 3
    assert shown.stdout.count("https://127.0.0.1:") == 2
    assert '"n"' in asked.stdout
    assert "name the CA with --ca FILE" in strange.stderr
    assert "write https://" in plain.stderr
    assert strange.returncode == plain.returncode == 1


def test_the_page_of_a_node_sees_the_others_over_tls(
    cluster: Cluster, office: Office
) -> None:
    tls = office.environment(office.node())
    master = cluster.master(**tls)
    replica = cluster.replica(master, **tls)

    def seen() -> bool:
        nodes = replica.get("/cluster")["nodes"]
        return len(nodes) == 2 and all(node["figures"] for node in nodes)

    wait_until(seen, "both nodes are seen from the replica")
    assert [node["error"] for node in replica.get("/cluster")["nodes"]] == ["", ""]


def test_where_clients_must_show_a_certificate_those_without_are_told(
    cluster: Cluster, office: Office
) -> None:
    tls = {**office.environment(office.node()), "NEXUS_TLS_CLIENT_CERTS": "required"}
    mine = office.client()
    node = NodeProcess(cluster.directory / "strict", settings=tls)
    cluster.nodes.append(node)
    node.start(wait=False)
    own = {"cert_file": mine.cert, "key_file": mine.key}

    def answers() -> bool:
        with connected([node], office, **own) as client:
            found: Any = client.execute("select 7").fetchone()
            return bool(found == (7,))

    wait_until(lambda: node.log_path.exists() and "master" in node.log_text(), "up")
    assert answers()
    with pytest.raises(nexus.Error, match="asks everybody for a"):
        nexus.connect(f"nexus://{node.address}", ca_file=office.ca, timeout=20)
    nobody = client_context(office.nobody())
    with httpx.Client(verify=nobody) as client, pytest.raises(httpx.ReadError) as cut:
        client.get(f"{node.url}/health")
    assert "CERTIFICATE_REQUIRED" in str(cut.value)
    shown = client_context(mine)
    with httpx.Client(verify=shown) as client:
        assert client.get(f"{node.url}/health").status_code == 200


def test_every_client_speaks_tls_as_its_url_or_its_arguments_say(
    cluster: Cluster, office: Office
) -> None:
    master = cluster.master(**office.environment(office.node()))
    query = urlencode({"tls": "on", "ca": str(office.ca)})

    async def by_pool() -> Any:
        url = f"nexus://{master.address}"
        async with (
            nexus.aio.Pool(url, ca_file=office.ca) as pool,
            pool.connection() as connection,
        ):
            await connection.execute("create table t(a)")
            await connection.execute("insert into t values (7)")
        async with (
            nexus.aio.Pool(f"{url}?{query}") as pool,
            pool.connection() as connection,
        ):
            return await (await connection.execute("select a from t")).fetchall()

    assert asyncio.run(by_pool()) == [(7,)]
    given = {"connect_args": {"ca_file": str(office.ca)}}
    for url, options in (
        (f"nexus://{master.address}/?{query}", {}),
        (f"nexus://{master.address}/", given),
    ):
        engine = create_engine(url, **options)
        with engine.connect() as connection:
            assert connection.execute(text("select a from t")).scalar() == 7
        engine.dispose()
    own = nexus.connect(master.data_dir, ca_file=office.ca, autocommit=True)
    with closing(own) as local:
        local.execute("insert into t values (8)")
        assert local.execute("select a from t").fetchall() == [(7,), (8,)]
    with nexus.changes(master.url, since=0, ca_file=office.ca, limit=3) as feed:
        told = [each.new for each in feed if each.new]
    assert told == [{"_rowid_": 1, "a": 7}, {"_rowid_": 2, "a": 8}]
    with connected([master], office) as remote:
        assert len(list(remote.changes(since=0, limit=1))) == 1


def test_django_speaks_tls_as_its_options_say(cluster: Cluster, office: Office) -> None:
    master = cluster.master(**office.environment(office.node()))
    settings = {
        "NAME": f"nexus://{master.address}",
        "OPTIONS": {"ca_file": str(office.ca)},
    }
    wrapper = DatabaseWrapper(settings)

    made = wrapper.creation.open(**wrapper.get_connection_params())
    with closing(made) as connection:
        assert connection.execute("select 7").fetchone() == (7,)


# --- Hostile --------------------------------------------------------------------------


def spoken(node: NodeProcess, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", node.wire_port), 20.0)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def heard(peer: ssl.SSLSocket) -> Message:
    """The next message; raises ConnectionError where the node closes instead."""
    decoder = Decoder()
    while data := peer.recv(65536):
        if messages := decoder.feed(data):
            return messages[0]
    raise ConnectionResetError("closed")


def test_a_recorded_hello_is_worth_nothing_on_another_connection(
    cluster: Cluster, office: Office
) -> None:
    files, secret = office.node(), "open sesame"
    tls = {**office.environment(files), "NEXUS_CLUSTER_SECRET": secret}
    master = cluster.master(**tls)
    context = client_context(files)
    with spoken(master, context) as peer:
        peer.sendall(encode(A_HELLO))
        challenge = heard(peer)
        assert isinstance(challenge, Challenge)
        proof = hello_proof(secret, challenge.nonce, A_HELLO)
        recorded = encode(replace(A_HELLO, auth=proof))
        peer.sendall(recorded)
        assert isinstance(heard(peer), Welcome)

    for first in (encode(A_HELLO), recorded):
        with spoken(master, context) as peer:
            peer.sendall(first)
            assert isinstance(heard(peer), Challenge)
            peer.sendall(recorded)
            refusal = heard(peer)
        assert isinstance(refusal, Error)
        assert refusal.code == ErrorCode.UNAUTHORISED
        assert "does not know this cluster's secret" in refusal.message


def test_half_handshakes_and_noise_on_both_ports_keep_nobody_out(
    cluster: Cluster, office: Office
) -> None:
    tls = STEADY | office.environment(office.node())
    master = cluster.master(NEXUS_REPLICATION_CONNECT_TIMEOUT_MS="5000", **tls)
    replica = cluster.replica(master, **tls)
    wait_until(lambda: replica.status()["connected"], "connected")
    chance = random.Random(7)
    crowd: list[socket.socket] = []
    for number in range(200):
        port = (master.wire_port, master.http_port)[number % 2]
        peer = socket.create_connection(("127.0.0.1", port), 20.0)
        begins = (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01", b"GET /")[number // 2 % 4]
        peer.sendall(begins + chance.randbytes(number % 7 * 100))
        crowd.append(peer)

    with connected([master], office) as client:
        client.execute("create table t(a)")
        offset = client.last_position.offset
    wait_until(lambda: caught_up(replica, offset), "the replica has it")
    newcomer = cluster.replica(master, "newcomer", **tls)
    wait_until(lambda: caught_up(newcomer, offset), "another one joins")
    for peer in crowd:
        peer.close()
    assert connections_of(replica) == 0
