"""A small cluster's own CA: made once, and what it signs."""

import datetime as dt
import ipaddress
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nexus.errors import ConfigurationError

CA_CERT: Final = "ca.crt"
CA_KEY: Final = "ca.key"
CA_DAYS: Final = 3650
DAYS: Final = 825
"""Longer is what some systems do not take."""

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
"""In each node's certificate, so that it is also reached from its own machine."""

SLACK: Final = dt.timedelta(minutes=5)
"""A certificate is valid so long before it was made: clocks differ."""

_NAME: Final = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}")
_HOST: Final = re.compile(
    r"(?=.{1,253}$)(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)"
    r"(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?"
)


@dataclass(frozen=True, slots=True)
class Issued:
    """Where what was made stands."""

    cert_file: Path
    key_file: Path


def make_authority(directory: Path, *, days: int = CA_DAYS) -> Issued:
    """Make a CA: its certificate, and the key that signs; both durable on return.

    Raises ConfigurationError where one stands there already: nodes that trust it would
    refuse what another one signs.
    """
    cert_file, key_file = directory / CA_CERT, directory / CA_KEY
    for path in (cert_file, key_file):
        _require_free(path, "a CA is there already")
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named("Nexus CA " + os.urandom(4).hex())
    builder = _begun(name, name, key.public_key(), days)
    builder = builder.add_extension(x509.BasicConstraints(True, 0), critical=True)  # noqa: FBT003
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.add_extension(usage, critical=True)
    certificate = builder.sign(key, SHA256())
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(key_file, _pem(key), 0o600, replace=False)
    write_file(cert_file, certificate.public_bytes(Encoding.PEM), 0o644, replace=False)
    return Issued(cert_file, key_file)


def issue(
    directory: Path,
    name: str,
    hosts: Sequence[str],
    *,
    serves: bool = True,
    days: int = DAYS,
    replace: bool = False,
) -> Issued:
    """Sign a certificate for a node, or with `serves=False` for a client.

    Raises ConfigurationError where there is no CA, where a name cannot stand in a
    certificate, or, unless `replace` is given, where one of this name exists.
    """
    if not _NAME.fullmatch(name) or name == "ca":
        raise ConfigurationError(
            f"{name!r} cannot name a certificate's files; take letters, digits, '.', "
            "'_' and '-', and another name than ca"
        )
    names = [_host(host) for host in dict.fromkeys(hosts)]
    authority, authority_key = authority_in(directory)
    made = Issued(directory / f"{name}.crt", directory / f"{name}.key")
    if not replace:
        for path in (made.cert_file, made.key_file):
            _require_free(path, "it is not overwritten; --replace does")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _begun(_named(name), authority.subject, key.public_key(), days)
    builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)  # noqa: FBT003
    builder = builder.add_extension(_uses(serves=serves), critical=False)
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())  # type: ignore[arg-type]
    builder = builder.add_extension(issuer, critical=False)
    certificate = builder.sign(authority_key, SHA256())
    # The key last: whoever has loaded the pair before goes on with that one until both
    # fit again.
    write_file(
        made.cert_file, certificate.public_bytes(Encoding.PEM), 0o644, replace=replace
    )
    write_file(made.key_file, _pem(key), 0o600, replace=replace)
    return made


def file_name(host: str) -> str:
    """What the files of a node on this host are called."""
    return host.strip("[]").replace(":", "-").replace("*", "any")


def _uses(*, serves: bool) -> x509.ExtendedKeyUsage:
    client = [ExtendedKeyUsageOID.CLIENT_AUTH]
    server = [ExtendedKeyUsageOID.SERVER_AUTH] if serves else []
    return x509.ExtendedKeyUsage([*server, *client])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    if not _HOST.fullmatch(host) or host.replace(".", "").isdigit():
        raise ConfigurationError(
            f"{host!r} is neither a host's name nor an IP address; name what others "
            "connect to, without a port"
        )
    return x509.DNSName(host.rstrip("."))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SLACK)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def authority_in(
    directory: Path,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A CA and its key; raises ConfigurationError where there is none."""
    cert_file, key_file = directory / CA_CERT, directory / CA_KEY
    try:
        certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
        key = load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"there is no CA to sign with: {cert_file} and {key_file} ({error}); make "
            f"one with nexus tls init --dir {directory}"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(
            f"'{key_file}' is no key that nexus tls init has made; issue with the tool "
            "that made this CA"
        )
    return certificate, key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _require_free(path: Path, why: str) -> None:
    if path.exists() or path.is_symlink():
        raise ConfigurationError(f"'{path}' exists: {why}; nothing was changed")


def write_file(path: Path, content: bytes, mode: int, *, replace: bool) -> None:
    """Durable on return, and never half of it under the name."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        beside.unlink()
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            beside.replace(path)
        else:
            path.hardlink_to(beside)  # unlike a rename, it overwrites nothing
    finally:
        beside.unlink(missing_ok=True)
