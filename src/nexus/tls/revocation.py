"""The list of certificates that a small cluster's CA has revoked."""

import datetime as dt
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from nexus.errors import ConfigurationError
from nexus.tls.authority import SLACK, authority_in, write_file

CA_CRL: Final = "ca.crl"


def revoke(directory: Path, cert_file: Path | None = None) -> Path:
    """Add a certificate to the CA's list, and sign it anew; durable on return.

    Without a certificate the list stays what it is, or is begun. It is good as long as
    the CA: one that ends sooner would end every new connection. Raises
    ConfigurationError where there is no CA, or it has not signed the certificate.
    """
    authority, key = authority_in(directory)
    list_file = directory / CA_CRL
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(now - SLACK)
        .next_update(authority.not_valid_after_utc)
    )
    known = _revoked_before(list_file)
    if cert_file is not None:
        serial = _signed_by(authority, cert_file).serial_number
        known.setdefault(serial, now - SLACK)
    for serial, since in known.items():
        revoked = x509.RevokedCertificateBuilder(serial, since)
        builder = builder.add_revoked_certificate(revoked.build())
    content = builder.sign(key, SHA256()).public_bytes(Encoding.PEM)
    write_file(list_file, content, 0o644, replace=True)
    return list_file


def _revoked_before(list_file: Path) -> dict[int, dt.datetime]:
    if not list_file.exists():
        return {}
    try:
        found = x509.load_pem_x509_crl(list_file.read_bytes())
    except ValueError:
        raise ConfigurationError(
            f"'{list_file}' holds no list of revoked certificates; put the last good "
            "one in its place: what it named would be good again"
        ) from None
    return {each.serial_number: each.revocation_date_utc for each in found}


def _signed_by(authority: x509.Certificate, cert_file: Path) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"'{cert_file}' holds no certificate ({error}); name the .crt to revoke"
        ) from None
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        raise ConfigurationError(
            f"'{cert_file}' was not signed by this CA; name the --dir of the one that "
            "has"
        ) from None
    return certificate
