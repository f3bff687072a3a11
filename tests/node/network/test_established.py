"""TLS connections end when the certificate of their other side is revoked."""

import asyncio
import ssl
from typing import cast

import structlog

from certificates import Office
from nexus.node.network.established import EstablishedConnections
from nexus.tls.contexts import TlsFiles
from nexus.tls.revocation import revoke
from nexus.tls.revoked import Revoked, read_lists


class Transport:
    """Of a peer that has shown this certificate, or none."""

    def __init__(self, files: TlsFiles | None = None, *, tls: bool = True) -> None:
        self.aborted = False
        self._files, self._tls = files, tls

    def get_extra_info(self, name: str) -> object:
        return {"ssl_object": self if self._tls else None, "peername": ("h", 1)}[name]

    def getpeercert(self, *, binary_form: bool) -> bytes | None:
        assert binary_form
        if self._files is None or self._files.cert is None:
            return None
        return ssl.PEM_cert_to_DER_cert(self._files.cert.read_text(encoding="ascii"))

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


def added(established: EstablishedConnections, transport: Transport) -> Transport:
    established.add(cast("asyncio.WriteTransport", transport))
    return transport


def revoked(office: Office, files: TlsFiles) -> Revoked:
    assert files.cert is not None
    return read_lists(revoke(office.directory, files.cert))


def test_whose_certificate_is_revoked_is_cut_off_and_the_others_stay(
    office: Office,
) -> None:
    good, bad = office.node("good"), office.node("bad")
    established = EstablishedConnections()
    stays = [Transport(good), Transport(), Transport(bad, tls=False)]
    for each in stays:
        added(established, each)
    goes = added(established, Transport(bad))

    with structlog.testing.capture_logs() as logs:
        established.revoke(revoked(office, bad))
    established.forget_closed()

    assert goes.aborted
    assert not any(each.aborted for each in stays)
    assert [(each["event"], each["peer"]) for each in logs] == [
        ("connection_revoked", "h:1")
    ]
    assert established.count == len(stays)


def test_who_shook_hands_by_the_list_of_before_is_cut_off_too(office: Office) -> None:
    bad = office.node("bad")
    established = EstablishedConnections(revoked(office, bad))

    late = added(established, Transport(bad))

    assert late.aborted


def test_of_a_connection_that_has_ended_nothing_is_told(office: Office) -> None:
    bad = office.node("bad")
    established = EstablishedConnections()
    added(established, Transport(bad)).abort()

    with structlog.testing.capture_logs() as logs:
        established.revoke(revoked(office, bad))

    assert logs == []
    assert established.count == 0
