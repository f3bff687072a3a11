"""A revoked certificate is refused at both ends, and the others are not."""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from certificates import Office, both, met
from nexus.errors import ConfigurationError
from nexus.tls.contexts import TlsFiles, client_context, server_context
from nexus.tls.revocation import revoke
from nexus.tls.words import in_words


def certified(files: TlsFiles) -> Path:
    assert files.cert is not None, "it was issued"
    return files.cert


def heeding(office: Office, files: TlsFiles) -> TlsFiles:
    return replace(files, crl=revoke(office.directory))


def said(error: Exception | None) -> str:
    assert isinstance(error, ssl.SSLError), error
    return in_words(error)


def test_whose_certificate_was_revoked_is_refused_and_told(office: Office) -> None:
    good, bad = office.node("good"), office.node("bad")
    revoke(office.directory, certified(bad))
    server, client = both(heeding(office, good))

    assert met(server, client) == [None, None]
    refused, told = met(server, client_context(bad))
    assert said(refused) == "its certificate was revoked"
    assert said(told) == "it says that this side's certificate was revoked"
    told, refused = met(server_context(bad, asks_everybody=False), client)
    assert said(refused) == "its certificate was revoked"
    assert said(told) == "it says that this side's certificate was revoked"


def test_who_shows_no_certificate_is_no_matter_of_the_list(office: Office) -> None:
    server, _ = both(heeding(office, office.node()))

    assert met(server, client_context(office.nobody())) == [None, None]


def test_what_was_revoked_stays_so(office: Office) -> None:
    first, second, good = (office.node(name) for name in ("a", "b", "c"))
    for files in (first, second, first):
        revoke(office.directory, certified(files))
    server, _ = both(heeding(office, good))

    for files in (first, second):
        assert said(met(server, client_context(files))[0]) == (
            "its certificate was revoked"
        )
    assert met(server, client_context(good)) == [None, None]


def test_only_what_this_ca_has_signed_can_be_revoked(
    office: Office, tmp_path: Path
) -> None:
    other = Office.opened(tmp_path / "other").node()
    text = tmp_path / "text"
    text.write_text("nothing")

    for file, why in (
        (certified(other), "was not signed by this CA"),
        (certified(office.alone()), "was not signed by this CA"),
        (text, "holds no certificate"),
        (tmp_path / "none", "No such file"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            revoke(office.directory, file)


def test_a_damaged_list_is_not_begun_anew(office: Office) -> None:
    list_file = revoke(office.directory)
    list_file.write_text("nothing")

    with pytest.raises(ConfigurationError, match="would be good again"):
        revoke(office.directory)


def test_a_list_of_another_ca_tells_nothing_of_this_one(
    office: Office, tmp_path: Path
) -> None:
    other = Office.opened(tmp_path / "other")
    server, _ = both(replace(office.node(), crl=revoke(other.directory)))

    refused = said(met(server, client_context(office.node("b")))[0])
    assert refused.startswith("nothing tells whether its certificate was revoked")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is no list of revoked certificates"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "is damaged"),
    ],
)
def test_a_file_that_is_no_list_is_refused(
    office: Office, tmp_path: Path, content: bytes, why: str
) -> None:
    file = tmp_path / "list"
    file.write_bytes(content)

    with pytest.raises(ConfigurationError, match=why):
        both(replace(office.node(), crl=file))


def test_a_certificate_beside_the_list_is_not_trusted(
    office: Office, tmp_path: Path
) -> None:
    other, file = Office.opened(tmp_path / "other"), tmp_path / "list"
    file.write_bytes(revoke(office.directory).read_bytes() + other.ca.read_bytes())

    with pytest.raises(ConfigurationError, match="nothing beside it"):
        both(replace(office.node(), crl=file))
