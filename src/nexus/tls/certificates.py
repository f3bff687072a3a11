"""What stands in a certificate.

Only who speaks TLS loads this module: what it needs takes 8 MB.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nexus.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Certificate:
    """What one says of itself."""

    subject: str
    issuer: str
    hosts: tuple[str, ...]
    """The names and IP addresses that it is for."""
    uses: tuple[str, ...]
    """Of `ca`, `server` and `client`."""
    begins: dt.datetime
    ends: dt.datetime
    """Both in UTC, with their zone."""
    fingerprint: str
    """SHA-256, in hexadecimal."""

    def days_left(self, now: dt.datetime) -> int:
        """Whole days until it ends; below zero where it has ended."""
        return (self.ends - now).days


def read_certificates(path: Path, told: str = "") -> list[Certificate]:
    """All that stand in a PEM file, in order: the first is whose file it is.

    Raises ConfigurationError where there is none; `told` is how it names the file.
    """
    told = told or f"'{path}'"
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"{told} cannot be read: {error.strerror or error}; name a certificate"
        ) from None
    except ValueError:
        raise ConfigurationError(
            f"{told} holds no certificate; name a file in PEM that does"
        ) from None
    return [_described(each) for each in found]


def is_of_a_node(encoded: bytes) -> bool:
    """Whether who shows this certificate may serve: a node may, a client need not."""
    certificate = x509.load_der_x509_certificate(encoded)
    uses = _uses(certificate)
    return "server" in uses and "ca" not in uses


def _described(certificate: x509.Certificate) -> Certificate:
    return Certificate(
        subject=_name(certificate.subject),
        issuer=_name(certificate.issuer),
        hosts=_hosts(certificate),
        uses=_uses(certificate),
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
        fingerprint=certificate.fingerprint(SHA256()).hex(),
    )


def _name(name: x509.Name) -> str:
    """The common name where there is one, else all of it."""
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()


def _hosts(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except x509.ExtensionNotFound:
        return ()
    addresses = names.get_values_for_type(x509.IPAddress)
    return (*names.get_values_for_type(x509.DNSName), *map(str, addresses))


def _uses(certificate: x509.Certificate) -> tuple[str, ...]:
    extensions = certificate.extensions
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return ("ca",)
    except x509.ExtensionNotFound:
        pass
    try:
        uses = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ("server", "client")  # for everything
    names = {
        ExtendedKeyUsageOID.SERVER_AUTH: "server",
        ExtendedKeyUsageOID.CLIENT_AUTH: "client",
    }
    return tuple(name for use, name in names.items() if use in uses)
