"""Who speaks TLS is let in; who does not, or badly, is told, and costs little."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import structlog
import uvloop
from typing_extensions import override

from certificates import Office
from nexus.config import TlsSettings
from nexus.node.network.credentials import Credentials
from nexus.node.network.door import Door
from nexus.node.network.listening import bound_sockets
from nexus.node.network.tlsport import MOST_REASONS, PLAIN, TlsPort
from nexus.tls.contexts import TlsFiles, client_context
from nexus.tls.words import in_words
from node.builders import PATIENCE_S

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test's coroutine on one of the loops: nodes run on uvloop."""
    found: Run = request.param
    return found


class Echo(asyncio.Protocol):
    """Says what it hears."""

    @override
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


@asynccontextmanager
async def opened(
    settings: TlsSettings, *, timeout_s: float = PATIENCE_S, most: int = 128
) -> AsyncIterator[tuple[TlsPort, int]]:
    sockets = await bound_sockets("127.0.0.1:0")
    door = Door(timeout_s=timeout_s, most=most)
    credentials = Credentials(settings)
    port = TlsPort(sockets, credentials, Echo, plain_answer=b"plainly no", door=door)
    try:
        yield port, sockets[0].getsockname()[1]
    finally:
        port.close()
        await port.wait_closed()


async def echoed(port: int, context: ssl.SSLContext, name: str = "127.0.0.1") -> bytes:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=name
    )
    writer.write(b"hello")
    try:
        return await reader.readexactly(5)
    finally:
        writer.close()


async def refusal(port: int, context: ssl.SSLContext) -> str:
    try:
        said = await echoed(port, context)
    except ssl.SSLError as error:
        return in_words(error)
    raise AssertionError(f"let in: {said!r}")


async def plainly(port: int, data: bytes, *, eof: bool = False) -> bytes:
    """What the port answers to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    if eof:
        writer.write_eof()
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_who_speaks_tls_is_served_and_who_does_not_gets_a_plain_answer(
    run: Run, office: Office
) -> None:
    async def check() -> None:
        async with opened(office.settings()) as (_, port):
            context = client_context(office.nobody())

            assert await echoed(port, context) == b"hello"
            assert await plainly(port, b"GET / HTTP/1.1\r\n\r\n") == b"plainly no"
            assert await plainly(port, b"G", eof=True) == b"plainly no"
            assert await plainly(port, b"", eof=True) == b""
            assert await echoed(port, context) == b"hello"

    run(check())


def test_garbage_behind_the_first_byte_ends_in_an_alert_and_never_in_a_traceback(
    run: Run, office: Office
) -> None:
    async def check() -> None:
        failures: list[Any] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context))
        async with opened(office.settings()) as (_, port):
            for rest in (b"\x00" * 100, b"\x03\x01\xff\xff", b"\x03\x01\x00\x05" * 9):
                said = await plainly(port, b"\x16" + rest, eof=True)
                assert said[:1] in (b"", b"\x15")  # nothing, or an alert
            assert await echoed(port, client_context(office.nobody())) == b"hello"
        assert failures == []

    run(check())


def test_each_side_is_told_why_a_certificate_is_not_taken(
    run: Run, office: Office, tmp_path: Path
) -> None:
    other = Office.opened(tmp_path / "other").client()
    strange = client_context(TlsFiles(other.cert, other.key, office.ca))

    async def check() -> None:
        with structlog.testing.capture_logs() as logs:
            async with opened(office.settings()) as (_, port):
                told = await refusal(port, strange)

        assert told == "it does not trust the CA of this side's certificate"
        assert [(e["event"], e["reason"]) for e in logs] == [
            ("tls_refused", "its certificate is of a CA that is not trusted here")
        ]

    run(check())


def test_where_everybody_is_asked_a_client_without_a_certificate_is_told(
    run: Run, office: Office
) -> None:
    files = office.node()
    settings = TlsSettings(
        cert_file=files.cert,
        key_file=files.key,
        ca_file=files.ca,
        client_certs="required",
    )

    async def check() -> None:
        async with opened(settings) as (_, port):
            told = await refusal(port, client_context(office.nobody()))
            assert "asks everybody for a certificate" in told
            assert await echoed(port, client_context(office.client())) == b"hello"

    run(check())


async def begun_slowly(
    port: int,
) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connections that say the first bytes of a handshake; some not even one."""
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
    for number, (_, writer) in enumerate(slow):
        writer.write(b"\x16\x03\x01"[: number % 4])
    return slow


def test_slow_handshakes_hold_nobody_up(run: Run, office: Office) -> None:
    async def check() -> None:
        async with opened(office.settings(), timeout_s=2 * PATIENCE_S) as (_, port):
            slow = await begun_slowly(port)
            async with asyncio.timeout(PATIENCE_S):
                said = await echoed(port, client_context(office.nobody()))
            for _, writer in slow:
                writer.close()

        assert said == b"hello"

    run(check())


def test_slow_handshakes_end_at_their_deadline(run: Run, office: Office) -> None:
    async def check() -> None:
        async with opened(office.settings(), timeout_s=0.3) as (_, port):
            slow = await begun_slowly(port)
            async with asyncio.timeout(PATIENCE_S):
                for reader, writer in slow:
                    with suppress(ConnectionError):
                        assert await reader.read() in (b"", b"plainly no")
                    writer.close()

    run(check())


def test_of_too_many_at_once_the_oldest_leave_and_a_good_one_is_served(
    run: Run, office: Office
) -> None:
    async def check() -> None:
        async with opened(office.settings(), most=4) as (_, port):
            crowd = [
                await asyncio.open_connection("127.0.0.1", port) for _ in range(12)
            ]
            context = client_context(office.nobody())

            assert await echoed(port, context) == b"hello"
            for reader, writer in crowd[:4]:
                with pytest.raises(ConnectionError):
                    await ended(reader)
                writer.close()
            for _, writer in crowd[4:]:
                writer.close()

    run(check())


async def ended(reader: asyncio.StreamReader) -> None:
    """Raises ConnectionError as soon as the other side is gone, in either way."""
    async with asyncio.timeout(PATIENCE_S):
        if not await reader.read():
            raise ConnectionResetError


def test_a_client_that_asks_for_another_handshake_again_and_again_is_cut_off(
    run: Run, office: Office
) -> None:
    """TLS 1.3 has none; before it, each would cost the server a signature."""
    # Python's own ssl cannot ask for one.
    assert which("openssl"), "this test needs openssl: apt-get install openssl"

    async def check() -> None:
        async with opened(office.settings()) as (_, port):
            context = client_context(office.nobody())
            context.maximum_version = ssl.TLSVersion.TLSv1_2

            assert await echoed(port, context) == b"hello"
            asks = await asyncio.create_subprocess_exec(
                "openssl",
                "s_client",
                "-tls1_2",
                "-connect",
                f"127.0.0.1:{port}",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            async with asyncio.timeout(PATIENCE_S):
                said, _ = await asks.communicate(b"R\n" * 3)
            assert b"no renegotiation" in said
            assert await echoed(port, context) == b"hello"

    run(check())


def test_a_crowd_of_plain_peers_is_one_line_of_the_log(
    run: Run, office: Office
) -> None:
    async def check() -> None:
        with structlog.testing.capture_logs() as logs:
            async with opened(office.settings()) as (_, port):
                for _ in range(5):
                    assert await plainly(port, b"x") == b"plainly no"

        assert [(e["reason"], e["count"]) for e in logs] == [(PLAIN, 1)]

    run(check())


def test_closing_ends_those_at_the_door(run: Run, office: Office) -> None:
    async def check() -> None:
        async with opened(office.settings()) as (port, number):
            reader, writer = await asyncio.open_connection("127.0.0.1", number)
            plain, plain_writer = await asyncio.open_connection("127.0.0.1", number)
            plain_writer.write(b"x")
            assert await plain.read(5) == b"plain"
            port.close()
            await port.wait_closed()

            with pytest.raises(ConnectionError):
                await ended(reader)
            writer.close()
            plain_writer.close()

    run(check())


def test_reasons_without_end_are_one_line_in_the_end(run: Run, office: Office) -> None:
    async def check() -> None:
        with structlog.testing.capture_logs() as logs:
            async with opened(office.settings()) as (port, _):
                for number in range(MOST_REASONS + 5):
                    port._tell("a", f"reason {number}")

        assert len(logs) == MOST_REASONS + 1
        assert logs[-1]["reason"] == "for other reasons as well"

    run(check())
