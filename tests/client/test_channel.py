"""TLS for a thread that reads and others that write."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from certificates import PATIENCE_S, Office, both
from nexus.client.channel import TlsChannel, connected_to


@contextmanager
def channel(office: Office) -> Iterator[tuple[TlsChannel, ssl.SSLSocket]]:
    """Both ends of one connection."""
    server, client = both(office.node())
    found: list[ssl.SSLSocket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            accepted, _ = listener.accept()
            accepted.settimeout(PATIENCE_S)
            found.append(server.wrap_socket(accepted, server_side=True))

        thread = threading.Thread(target=accept)
        thread.start()
        port = listener.getsockname()[1]
        made = connected_to(f"127.0.0.1:{port}", PATIENCE_S, client)
        thread.join()
    assert isinstance(made, TlsChannel)
    try:
        yield made, found[0]
    finally:
        made.close()
        found[0].close()


def test_what_is_sent_arrives_and_what_is_answered_too(office: Office) -> None:
    with channel(office) as (near, far):
        near.sendall(b"ping")
        assert far.recv(10) == b"ping"
        far.sendall(b"pong")
        assert near.recv(10) == b"pong"
        far.close()
        assert near.recv(10) == b""


def test_silence_ends_at_the_timeout(office: Office) -> None:
    with channel(office) as (near, _):
        near.settimeout(0.05)
        with pytest.raises(TimeoutError):
            near.recv(1)
        near.settimeout(0)
        with pytest.raises(TimeoutError):
            near.recv(1)


def test_without_a_timeout_it_waits_for_as_long_as_it_takes(office: Office) -> None:
    with channel(office) as (near, far):
        near.settimeout(None)
        timer = threading.Timer(0.1, far.sendall, [b"late"])
        timer.start()
        assert near.recv(10) == b"late"
        timer.join()


def test_a_peer_that_reads_nothing_does_not_hold_a_sender_for_ever(
    office: Office,
) -> None:
    with channel(office) as (near, _):
        near.settimeout(0.2)
        with pytest.raises(TimeoutError):
            near.sendall(bytes(64 << 20))


def test_threads_write_while_another_one_reads(office: Office) -> None:
    """A cancel comes from another thread than the one that waits for rows."""
    total = 4 << 20

    with channel(office) as (near, far):

        def echo() -> None:
            left = 2 * total
            while left:
                data = far.recv(1 << 16)
                left -= len(data)
                far.sendall(data)

        def send(byte: bytes) -> None:
            for _ in range(total >> 12):
                with sending:
                    near.sendall(byte * (1 << 12))

        sending = threading.Lock()
        threads = [threading.Thread(target=echo)]
        threads += [threading.Thread(target=send, args=[b]) for b in (b"a", b"b")]
        for thread in threads:
            thread.start()
        heard = bytearray()
        deadline = time.monotonic() + PATIENCE_S
        while len(heard) < 2 * total and time.monotonic() < deadline:
            heard += near.recv(1 << 16)
        for thread in threads:
            thread.join()

    assert (heard.count(b"a"), heard.count(b"b")) == (total, total)


def test_a_handshake_that_fails_leaves_nothing_open(
    office: Office, tmp_path: Path
) -> None:
    other = Office.opened(tmp_path / "other")
    server, _ = both(office.node())
    _, stranger = both(other.node())
    failures = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(PATIENCE_S)
                try:
                    server.wrap_socket(accepted, server_side=True)
                except OSError as error:
                    failures.append(error)

        thread = threading.Thread(target=accept)
        thread.start()
        with pytest.raises(ssl.SSLCertVerificationError):
            connected_to(f"127.0.0.1:{listener.getsockname()[1]}", 20.0, stranger)
        thread.join()
    assert len(failures) == 1


def test_without_a_context_it_is_a_plain_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = connected_to(f"127.0.0.1:{listener.getsockname()[1]}", 5.0, None)

    assert isinstance(made, socket.socket)
    assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    made.close()
