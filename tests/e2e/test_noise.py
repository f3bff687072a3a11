"""Strangers who send anything but what is expected: the node serves all the others."""

import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from e2e.cluster import CLIENT, Cluster, NodeProcess, wait_until
from e2e.ledger import Ledger, state
from e2e.test_crash import SEED, assert_equal
from nexus.model.cluster import NodeId
from nexus.model.position import Offset
from nexus.protocol.codec import FRAME_BYTES, HANDSHAKE_FRAME_BYTES, encode
from nexus.protocol.messages import Ping, RequestSnapshot, WalAck

NOISE_S = float(os.environ.get("CHAOS_NOISE_S", "5"))
IDLE_CONNECTIONS: Final = 300
HANDSHAKE_MS: Final = 1_000
DRIP_S: Final = 0.1
ANSWER_LIMIT_S: Final = 60.0
"""For any one answer under noise, on a machine that does much else."""

pytestmark = pytest.mark.timeout(300 + 2 * NOISE_S)

REQUEST: Final = (
    b"POST /sql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b'Content-Length: 47\r\n\r\n{"statements": [{"sql": "delete from nowhere"}]}'
)
FRAMES: Final = b"".join(
    encode(message)
    for message in (
        Ping(1, Offset(1)),
        WalAck(Offset(1 << 40), Offset(1 << 40)),
        RequestSnapshot(NodeId("nobody"), "some", 7),
    )
)

Noise = Callable[[random.Random], bytes]


def random_bytes(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(1, 4096))


def a_frame_that_is_too_long(chance: random.Random) -> bytes:
    """Over the limit for strangers, or for everybody."""
    length = chance.choice([HANDSHAKE_FRAME_BYTES, FRAME_BYTES, 0xFFFF_FFFF])
    code = chance.choice([0x01, 0x20, 0x32, 0xFF])
    return struct.pack("<BI", code, length) + chance.randbytes(1000)


def frames_out_of_turn(_: random.Random) -> bytes:
    return FRAMES


def a_truncated_frame(chance: random.Random) -> bytes:
    return FRAMES[: chance.randrange(1, 20)]


def a_damaged_frame(chance: random.Random) -> bytes:
    return damaged(FRAMES, chance)


def a_truncated_request(chance: random.Random) -> bytes:
    return REQUEST[: chance.randrange(1, len(REQUEST))]


def a_damaged_request(chance: random.Random) -> bytes:
    return damaged(REQUEST, chance)


def a_request_of_chunks(chance: random.Random) -> bytes:
    head = b"POST /sql HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n" % chance.randrange(1 << 40) + chance.randbytes(100)


def damaged(data: bytes, chance: random.Random) -> bytes:
    spoiled = bytearray(data)
    for _ in range(chance.randrange(1, 10)):
        spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
    return bytes(spoiled)


KINDS: Final[tuple[Noise, ...]] = (
    random_bytes,
    a_frame_that_is_too_long,
    frames_out_of_turn,
    a_truncated_frame,
    a_damaged_frame,
    a_truncated_request,
    a_damaged_request,
    a_request_of_chunks,
)


def make_noise(port: int, over: threading.Event, chance: random.Random) -> None:
    """Every kind, on one connection each, which ends in one of three ways."""
    while not over.is_set():
        noise = chance.choice(KINDS)(chance)
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as peer:
            peer.settimeout(0.2)
            peer.sendall(noise)
            match chance.randrange(3):
                case 0:
                    peer.shutdown(socket.SHUT_WR)
                    peer.recv(1000)
                case 1:
                    peer.recv(1000)
                case _:  # a reset instead of an end
                    linger = struct.pack("ii", 1, 0)
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def drip(port: int, text: bytes, over: threading.Event) -> None:
    """Slow-loris: one byte after the other, for as long as the node listens."""
    while not over.is_set():
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as peer:
            for byte in text * 1000:
                if over.wait(DRIP_S):
                    return
                peer.sendall(bytes([byte]))


@contextmanager
def noise_around(nodes: list[NodeProcess]) -> Iterator[None]:
    """Strangers at both ports of every node, until the end of the block."""
    over = threading.Event()
    strangers = []
    for node in nodes:
        for port, text in ((node.wire_port, FRAMES[:9]), (node.http_port, REQUEST)):
            chance = random.Random(f"{SEED} {node.role} {port == node.wire_port}")
            noisy = threading.Thread(target=make_noise, args=(port, over, chance))
            slow = threading.Thread(target=drip, args=(port, text, over))
            strangers += [noisy, slow]
    for stranger in strangers:
        stranger.start()
    try:
        yield
    finally:
        over.set()
        for stranger in strangers:
            stranger.join(60)


@contextmanager
def idle_connections(nodes: list[NodeProcess], count: int) -> Iterator[None]:
    """So many, over all ports, that say nothing; every other one is half open."""
    ports = [port for node in nodes for port in (node.wire_port, node.http_port)]
    with ExitStack() as stack:
        for number in range(count):
            address = ("127.0.0.1", ports[number % len(ports)])
            peer = stack.enter_context(socket.create_connection(address))
            if number % 2:
                peer.shutdown(socket.SHUT_WR)
        yield


def descriptors(node: NodeProcess) -> int:
    assert node.process is not None
    return len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))


def test_noise_on_both_ports_stops_nobody_and_loses_nothing(cluster: Cluster) -> None:
    patience = {
        "NEXUS_REPLICATION_CONNECT_TIMEOUT_MS": str(HANDSHAKE_MS),
        "NEXUS_REPLICATION_MISSED_HEARTBEATS": "150",  # no reconnect but for the noise
    }
    master = cluster.master(**patience)
    replica = cluster.replica(master, **patience)
    nodes = [master, replica]
    ledger = Ledger(master)
    # A replica opens its database with its first entry.
    wait_until(lambda: replica.status()["applied_offset"] > 1, "it applies")
    before = [descriptors(node) for node in nodes]
    with idle_connections(nodes, IDLE_CONNECTIONS), noise_around(nodes):
        end = time.monotonic() + NOISE_S
        while time.monotonic() < end:
            done = ledger.acknowledged
            wait_until(lambda: ledger.acknowledged > done, "writes flow")  # noqa: B023
            for node in nodes:
                answer = CLIENT.get(f"{node.url}/health", timeout=ANSWER_LIMIT_S)
                assert answer.status_code == 200
            wait_until(lambda: replica.status()["connected"], "it follows")
            time.sleep(0.1)
        assert replica.get("/replication/replica/stats")["reconnects"] == 0
    assert master.get("/replication/master/stats")["rejected_connections"] > 0
    ledger.finish()
    ledger.check_kept(ledger.promises(), state(master))
    assert_equal(master, nodes[1:])
    for node, count in zip(nodes, before, strict=True):
        wait_until(lambda: descriptors(node) <= count + 5, "strangers left nothing")  # noqa: B023
