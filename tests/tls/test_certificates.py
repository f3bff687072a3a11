"""What stands in a certificate."""

import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from certificates import DAY, NOW, Office, signed
from nexus.errors import ConfigurationError
from nexus.tls.certificates import is_of_a_node, read_certificates
from nexus.tls.contexts import TlsFiles


def encoded(files: TlsFiles) -> bytes:
    assert files.cert is not None
    return ssl.PEM_cert_to_DER_cert(files.cert.read_text())


def test_a_certificate_says_whose_it_is_and_until_when(office: Office) -> None:
    files = office.node("n1", "db1.example", "10.0.0.1", days=30)
    assert files.cert is not None

    [found] = read_certificates(files.cert)
    [authority] = read_certificates(office.ca)

    assert found.subject == "n1"
    assert found.issuer == authority.subject == authority.issuer
    assert found.hosts == ("db1.example", "10.0.0.1")
    assert (found.uses, authority.uses) == (("server", "client"), ("ca",))
    assert found.days_left(dt.datetime.now(dt.UTC)) == 29
    assert found.days_left(NOW + 40 * DAY) < 0
    assert found.begins < dt.datetime.now(dt.UTC) < found.ends
    assert len(found.fingerprint) == 64


def test_who_may_serve_is_a_node_and_a_client_is_none(office: Office) -> None:
    ca = ssl.PEM_cert_to_DER_cert(office.ca.read_text())

    assert is_of_a_node(encoded(office.node()))
    assert is_of_a_node(encoded(office.alone()))  # it names no use: it has every one
    assert not is_of_a_node(encoded(office.client()))
    assert not is_of_a_node(ca)


def test_a_certificate_without_a_common_name_is_called_by_all_of_its_name(
    tmp_path: Path,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Acme")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
        .sign(key, SHA256())
    )
    file = tmp_path / "acme.crt"
    file.write_bytes(made.public_bytes(Encoding.PEM))

    [found] = read_certificates(file)

    assert found.subject == "O=Acme"
    assert found.hosts == ()


def test_a_chain_is_read_in_its_order(office: Office, tmp_path: Path) -> None:
    made = signed(tmp_path, "first", (NOW, NOW + DAY), None)
    made.cert_file.write_bytes(made.cert_file.read_bytes() + office.ca.read_bytes())

    assert [each.subject == "first" for each in read_certificates(made.cert_file)] == [
        True,
        False,
    ]


def test_a_file_without_a_certificate_is_told(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")

    with pytest.raises(ConfigurationError, match="empty' holds no certificate"):
        read_certificates(empty)
    with pytest.raises(ConfigurationError, match="mine cannot be read: No such file"):
        read_certificates(tmp_path / "none", "mine")
