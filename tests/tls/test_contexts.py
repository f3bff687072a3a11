"""Who takes whom for what, over real handshakes; and files that are of no use."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from certificates import DAY, NOW, Office, both, cleared, met
from nexus.errors import ConfigurationError
from nexus.tls.contexts import TlsFiles, client_context, rehearse, server_context
from nexus.tls.words import in_words


def refusals(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost"
) -> list[str]:
    """What the sides say of each other; nothing where they agree."""
    found = met(server, client, name)
    return [in_words(e) for e in found if isinstance(e, ssl.SSLError)]


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_two_nodes_of_a_ca_take_each_other(office: Office, name: str) -> None:
    server, client = both(office.node())

    assert met(server, client, name) == [None, None]


def test_what_is_issued_holds_where_the_rules_are_kept_strictly(office: Office) -> None:
    """As Python's own contexts keep them from 3.13 on."""
    server, client = both(office.node())
    for context in (server, client):
        context.verify_flags |= ssl.VERIFY_X509_STRICT

    assert met(server, client) == [None, None]


def test_a_client_needs_no_certificate_unless_it_is_asked(office: Office) -> None:
    files = office.node()
    nobody = client_context(office.nobody())

    assert refusals(server_context(files, asks_everybody=False), nobody) == []
    told = refusals(server_context(files, asks_everybody=True), nobody)
    assert any("certificate" in each for each in told)
    somebody = client_context(office.client())
    assert refusals(server_context(files, asks_everybody=True), somebody) == []


def test_a_server_of_another_ca_is_refused(office: Office, tmp_path: Path) -> None:
    other = Office.opened(tmp_path / "other")
    server = server_context(other.node(), asks_everybody=False)

    told = refusals(server, client_context(office.nobody()))

    assert "its certificate is of a CA that is not trusted here" in told


def test_a_server_that_signs_for_itself_is_refused(office: Office) -> None:
    server = server_context(office.alone(), asks_everybody=False)

    told = refusals(server, client_context(office.nobody()))

    assert any("signed by itself alone" in each for each in told)


def test_a_client_of_another_ca_is_refused(office: Office, tmp_path: Path) -> None:
    other = Office.opened(tmp_path / "other").client()
    stranger = TlsFiles(other.cert, other.key, office.ca)
    server = server_context(office.node(), asks_everybody=False)

    assert refusals(server, client_context(stranger)) == [
        "its certificate is of a CA that is not trusted here",
        "it does not trust the CA of this side's certificate",
    ]


def test_a_certificate_for_another_host_is_refused(office: Office) -> None:
    server, client = both(office.node("far", "db1.example", "10.0.0.1"))

    assert refusals(server, client, "db1.example") == []
    assert any("another name" in e for e in refusals(server, client, "10.0.0.2"))
    assert any("another name" in e for e in refusals(server, client, "localhost"))


@pytest.mark.parametrize(
    ("begins", "ends", "words"),
    [
        (NOW - 2 * DAY, NOW - DAY, "has expired"),
        (NOW + DAY, NOW + 2 * DAY, "not valid yet"),
    ],
)
def test_a_certificate_of_another_time_is_refused_on_either_side(
    office: Office, begins: object, ends: object, words: str
) -> None:
    files = office.dated("dated", begins, ends)  # type: ignore[arg-type]
    server = server_context(files, asks_everybody=False)

    assert any(words in e for e in refusals(server, client_context(office.nobody())))
    good = server_context(office.node(), asks_everybody=False)
    told = refusals(good, client_context(files))
    assert any(words in each for each in told)


def test_tls_before_1_2_is_not_spoken(office: Office) -> None:
    server = server_context(office.node(), asks_everybody=False)
    client = client_context(office.nobody())
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        client.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        client.maximum_version = ssl.TLSVersion.TLSv1_1
    client.set_ciphers("ALL:@SECLEVEL=0")

    assert "it speaks no TLS of 1.2 or later" in refusals(server, client)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_can_be_taken_up_again(
    office: Office, version: ssl.TLSVersion
) -> None:
    server, client = both(office.node())
    client.maximum_version = client.minimum_version = version
    client.check_hostname = False
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    asked = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(6):
        for side in (asking, asked):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue

    assert asking.version() == version.name.replace("v1_", "v1.")
    assert asking.session is None or not asking.session.has_ticket
    assert server.options & ssl.OP_NO_RENEGOTIATION


def test_without_a_ca_the_machine_says_whom_to_trust() -> None:
    context = client_context(TlsFiles())

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_certificate_that_other_nodes_would_refuse_is_found_out(
    office: Office, tmp_path: Path
) -> None:
    other = Office.opened(tmp_path / "other").node()
    mixed = TlsFiles(other.cert, other.key, office.ca, "tls.")
    good = office.node()

    rehearse(*both(good), good)
    for files in (mixed, office.client()):
        with pytest.raises(ConfigurationError, match="other nodes would refuse"):
            rehearse(*both(files), files)


def refused(files: TlsFiles) -> str:
    with pytest.raises(ConfigurationError) as caught:
        server_context(files, asks_everybody=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_that_cannot_be_used_are_told_apart(office: Office) -> None:
    good, other = office.node(), office.node("other")
    none, text = office.directory / "none", office.directory / "text"
    text.write_text("hello")

    assert "go together" in refused(cleared(good))
    assert "'tls.cert_file" not in refused(TlsFiles(none, good.key, good.ca, "tls."))
    assert "cannot be read: No such" in refused(TlsFiles(none, good.key, None, "tls."))
    assert "does not belong to cert" in refused(TlsFiles(good.cert, other.key))
    assert "no PEM" in refused(TlsFiles(text, good.key))
    assert "no PEM" in refused(TlsFiles(good.cert, text))
    assert "holds no certificate" in refused(TlsFiles(good.cert, good.key, text))
    text.write_bytes(b"\xff\xfe")
    assert "holds no certificate" in refused(TlsFiles(good.cert, good.key, text))


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(office: Office) -> None:
    good, locked = office.node(), office.directory / "locked.key"
    locked.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hush")
        )
    )

    assert "protected by a passphrase" in refused(TlsFiles(good.cert, locked))
