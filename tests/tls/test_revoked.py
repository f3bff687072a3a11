"""What a file of lists of revoked certificates says."""

import ssl
from pathlib import Path

from certificates import DAY, NOW, Office
from nexus.tls.contexts import TlsFiles
from nexus.tls.revocation import revoke
from nexus.tls.revoked import NOTHING, read_lists


def shown(files: TlsFiles) -> bytes:
    """As a connection shows it."""
    assert files.cert is not None, "it was issued"
    return ssl.PEM_cert_to_DER_cert(files.cert.read_text(encoding="ascii"))


def test_a_list_names_what_was_revoked_and_nothing_else(office: Office) -> None:
    good, bad = office.node("good"), office.node("bad")
    assert bad.cert is not None

    found = read_lists(revoke(office.directory, bad.cert))

    assert found.names(shown(bad))
    assert not found.names(shown(good))
    assert not NOTHING.names(shown(bad))


def test_a_bundle_is_as_good_as_all_its_lists(office: Office, tmp_path: Path) -> None:
    other = Office.opened(tmp_path / "other")
    bad = other.node("bad")
    assert bad.cert is not None
    bundle = tmp_path / "bundle.crl"
    ends = NOW + DAY
    bundle.write_bytes(
        office.list_until(ends).read_bytes()
        + revoke(other.directory, bad.cert).read_bytes()
    )

    found = read_lists(bundle)

    assert found.names(shown(bad))
    assert found.ends_s == int(ends.timestamp())
