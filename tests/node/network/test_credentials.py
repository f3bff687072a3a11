"""Certificates are loaded, watched, and exchanged without a restart."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
import structlog

from certificates import DAY, NOW, Office, met
from nexus.config import TlsSettings
from nexus.errors import ConfigurationError
from nexus.node.network.credentials import Credentials
from nexus.node.network.door import Door
from nexus.node.network.listening import bound_sockets
from nexus.node.network.tlsport import TlsPort
from nexus.node.telemetry.measures import Measures
from nexus.tls.contexts import TlsFiles, client_context
from nexus.tls.revocation import revoke
from node.builders import PATIENCE_S, until


def days_left(credentials: Credentials) -> int:
    return round((credentials.expires_s - time.time()) / 86_400)


def refused(settings: TlsSettings) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Credentials(settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_certificate_there_are_no_credentials(office: Office) -> None:
    assert Credentials.of(TlsSettings()) is None
    assert Credentials.of(office.settings()) is not None


def test_a_pair_of_nodes_meets_with_what_was_loaded(office: Office) -> None:
    credentials = Credentials(office.settings(office.node(days=30)))

    assert met(credentials.server, credentials.client) == [None, None]
    assert credentials.asks_nodes
    assert days_left(credentials) == 30


def test_the_ca_counts_where_it_ends_before_the_certificate(tmp_path: Path) -> None:
    from nexus.tls.authority import make_authority  # noqa: PLC0415

    make_authority(tmp_path / "tls", days=5)

    assert days_left(Credentials(Office(tmp_path / "tls").settings())) == 5


def test_with_a_public_ca_nodes_show_no_certificate(office: Office) -> None:
    files = office.node(days=30)

    credentials = Credentials(TlsSettings(cert_file=files.cert, key_file=files.key))

    assert not credentials.asks_nodes
    assert credentials.server.verify_mode is ssl.CERT_NONE
    assert credentials.client.check_hostname
    assert days_left(credentials) == 30


def test_what_no_other_node_would_take_stops_the_start_in_one_line(
    office: Office, tmp_path: Path
) -> None:
    past = office.dated("past", NOW - 2 * DAY, NOW - DAY)
    future = office.dated("future", NOW + DAY, NOW + 2 * DAY)
    other = Office.opened(tmp_path / "other").node()

    assert "has expired on" in refused(office.settings(past))
    assert "is not valid before" in refused(office.settings(future))
    assert "other nodes would refuse" in refused(
        office.settings(TlsFiles(other.cert, other.key, office.ca))
    )


def test_a_changed_certificate_is_for_the_next_connection(office: Office) -> None:
    credentials = Credentials(office.settings(office.node(days=30)))
    assert not credentials.refresh()

    office.node(days=90)

    assert credentials.refresh()
    assert days_left(credentials) == 90
    assert not credentials.refresh()
    assert met(credentials.server, client_context(office.nobody())) == [None, None]


def test_a_revocation_is_for_the_next_connection(office: Office) -> None:
    bad = office.node("bad")
    assert bad.cert is not None
    settings = msgspec.structs.replace(
        office.settings(), crl_file=revoke(office.directory)
    )
    credentials = Credentials(settings)
    assert met(credentials.server, client_context(bad)) == [None, None]

    revoke(office.directory, bad.cert)

    assert credentials.refresh()
    assert None not in met(credentials.server, client_context(bad))
    assert "its certificate was revoked" in refused(
        msgspec.structs.replace(settings, cert_file=bad.cert, key_file=bad.key)
    )


def test_a_new_ca_beside_the_old_one_lets_both_in(
    office: Office, tmp_path: Path
) -> None:
    credentials = Credentials(office.settings())
    other = Office.opened(tmp_path / "other")
    strange = other.client()
    both = TlsFiles(strange.cert, strange.key, office.ca)
    [before, _] = met(credentials.server, client_context(both))
    assert isinstance(before, ssl.SSLError)

    office.ca.write_bytes(office.ca.read_bytes() + other.ca.read_bytes())

    assert credentials.refresh()
    assert met(credentials.server, client_context(both)) == [None, None]


def test_half_of_an_exchange_is_told_once_and_changes_nothing(office: Office) -> None:
    files = office.node(days=30)
    credentials = Credentials(office.settings(files))
    assert files.key is not None
    key = files.key.read_bytes()

    with structlog.testing.capture_logs() as logs:
        office.node(days=90)
        whole = files.key.read_bytes()
        files.key.write_bytes(key)
        assert not credentials.refresh()
        assert not credentials.refresh()
        assert days_left(credentials) == 30
        files.key.unlink()
        assert not credentials.refresh()
        files.key.write_bytes(whole)
        assert credentials.refresh()

    events = [each["event"] for each in logs]
    assert events.count("certificate_not_reloaded") == 2
    assert "does not belong to" in logs[0]["reason"]
    assert "certificate_reloaded" in events
    assert met(credentials.server, credentials.client) == [None, None]


def test_a_key_that_others_can_read_is_told_of(office: Office) -> None:
    files = office.node()
    assert files.key is not None
    files.key.chmod(0o644)

    with structlog.testing.capture_logs() as logs:
        Credentials(office.settings(files))

    assert [each["event"] for each in logs] == ["key_open_to_others"]


@asynccontextmanager
async def watched(credentials: Credentials) -> AsyncIterator[Measures]:
    """The node's measures while the files are watched."""
    measures = Measures()
    watching = asyncio.create_task(credentials.watch(measures))
    await until(lambda: measures.certificate_expires)
    try:
        yield measures
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_an_operator_can_have_the_files_looked_at_at_once(office: Office) -> None:
    credentials = Credentials(office.settings(office.node(days=30)))
    before = credentials.expires_s

    async with watched(credentials) as measures:
        assert measures.certificate_expires == before
        office.node(days=90)
        credentials.look_now()
        await until(lambda: measures.certificate_expires != before)

    assert measures.certificate_expires == credentials.expires_s


async def test_the_files_are_looked_at_without_being_asked(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus.node.network.credentials.LOOK_EVERY_S", 0.01)
    credentials = Credentials(office.settings(office.node(days=30)))

    async with watched(credentials):
        office.node(days=90)
        await until(lambda: days_left(credentials) == 90)

    assert met(credentials.server, credentials.client) == [None, None]


async def test_a_certificate_that_ends_soon_is_warned_of(office: Office) -> None:
    soon = Credentials(office.settings(office.node(days=5)))
    later = Credentials(office.settings(office.node("later", days=90)))

    with structlog.testing.capture_logs() as logs:
        for credentials in (soon, later, soon):  # once a day
            async with watched(credentials):
                pass

    assert [each["event"] for each in logs] == ["certificate_expires"]
    assert logs[0]["days_left"] == 4


async def test_a_revocation_ends_the_connections_that_stand(office: Office) -> None:
    bad = office.client("bad")
    assert bad.cert is not None
    settings = msgspec.structs.replace(
        office.settings(), crl_file=revoke(office.directory)
    )
    credentials = Credentials(settings)
    sockets = await bound_sockets("127.0.0.1:0")
    door = Door(timeout_s=PATIENCE_S)
    port = TlsPort(sockets, credentials, asyncio.Protocol, plain_answer=b"", door=door)
    there = [
        await asyncio.open_connection(
            "127.0.0.1", sockets[0].getsockname()[1], ssl=client_context(files)
        )
        for files in (bad, office.client("good"))
    ]
    try:
        async with watched(credentials):
            await until(lambda: credentials._established.count == 2)
            revoke(office.directory, bad.cert)
            credentials.look_now()
            (reader, _), (other, _) = there
            with suppress(ConnectionError):
                assert await reader.read() == b""

        assert not other.at_eof()
    finally:
        for _, writer in there:
            writer.close()
        port.close()
        await port.wait_closed()


async def test_a_list_that_has_ended_is_warned_of(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = NOW + DAY
    settings = msgspec.structs.replace(
        office.settings(office.node(days=30)), crl_file=office.list_until(ends)
    )
    credentials = Credentials(settings)

    with structlog.testing.capture_logs() as logs:
        async with watched(credentials) as measures:
            told_before = list(logs)
            monkeypatch.setattr(time, "time", lambda: ends.timestamp() + 1)
            credentials.look_now()
            await until(lambda: logs)

    assert told_before == []
    assert measures.revocation_list_ends == int(ends.timestamp())
    assert logs[0]["event"] == "revocation_list_ended"
    assert "until a newer list" in logs[0]["reason"]


def test_a_refusal_names_the_setting(office: Office) -> None:
    files = office.node()

    told = refused(TlsSettings(cert_file=files.cert, key_file=office.directory / "no"))

    assert told.startswith("tls.key_file = ")
