"""Certificates for tests: of a CA of their own, good ones and all kinds of bad ones."""

import datetime as dt
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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
from cryptography.x509.oid import NameOID

from nexus.config import TlsSettings
from nexus.tls.authority import LOOPBACK, Issued, issue, make_authority
from nexus.tls.contexts import TlsFiles, client_context, server_context

DAY: Final = dt.timedelta(days=1)
PATIENCE_S: Final = 60.0
NOW: Final = dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Office:
    """A CA, and what it signs."""

    directory: Path

    @classmethod
    def opened(cls, directory: Path) -> "Office":
        make_authority(directory)
        return cls(directory)

    @property
    def ca(self) -> Path:
        return self.directory / "ca.crt"

    def node(self, name: str = "node", *hosts: str, days: int = 30) -> TlsFiles:
        """For a node on loopback, or on these hosts."""
        made = issue(self.directory, name, hosts or LOOPBACK, days=days, replace=True)
        return self._files(made)

    def client(self, name: str = "client") -> TlsFiles:
        return self._files(issue(self.directory, name, (), serves=False, replace=True))

    def dated(self, name: str, begins: dt.datetime, ends: dt.datetime) -> TlsFiles:
        """A node's, valid at other times than now."""
        key = load_pem_private_key((self.directory / "ca.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        ca = x509.load_pem_x509_certificate(self.ca.read_bytes())
        return self._files(
            signed(self.directory, name, (begins, ends), (ca.subject, key))
        )

    def alone(self, name: str = "alone") -> TlsFiles:
        """A certificate that nobody but itself has signed."""
        return self._files(signed(self.directory, name, (NOW - DAY, NOW + DAY), None))

    def nobody(self) -> TlsFiles:
        """No certificate; the CA alone."""
        return TlsFiles(ca=self.ca, prefix="tls.")

    def settings(self, files: TlsFiles | None = None) -> TlsSettings:
        files = files or self.node()
        return TlsSettings(cert_file=files.cert, key_file=files.key, ca_file=files.ca)

    def environment(self, files: TlsFiles) -> dict[str, str]:
        """As `nexus serve` takes it."""
        found = {"CERT": files.cert, "KEY": files.key, "CA": files.ca}
        return {f"NEXUS_TLS_{name}_FILE": str(path) for name, path in found.items()}

    def list_until(self, ends: dt.datetime) -> Path:
        """The CA's list of nothing, made by another tool: it ends."""
        key = load_pem_private_key((self.directory / "ca.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        ca = x509.load_pem_x509_certificate(self.ca.read_bytes())
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(ca.subject)
            .last_update(min(NOW, ends) - DAY)
            .next_update(ends)
        )
        made = self.directory / "foreign.crl"
        made.write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
        return made

    def _files(self, made: Issued) -> TlsFiles:
        return TlsFiles(made.cert_file, made.key_file, self.ca, "tls.")


def signed(
    directory: Path,
    name: str,
    valid: tuple[dt.datetime, dt.datetime],
    issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None,
) -> Issued:
    """A certificate for localhost, for every use; without an issuer by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    by, by_key = issuer or (subject, key)
    hosts = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(hosts, critical=False)
        .sign(by_key, SHA256())
    )
    made = Issued(directory / f"{name}.crt", directory / f"{name}.key")
    made.cert_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    made.key_file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    made.key_file.chmod(0o600)
    return made


def cleared(files: TlsFiles) -> TlsFiles:
    """The same without the certificate."""
    return replace(files, cert=None, key=None)


def met(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost"
) -> list[Exception | None]:
    """What server and client made of a handshake and one byte back, on a socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)

        def serve() -> Exception | None:
            accepted, _ = listener.accept()
            accepted.settimeout(PATIENCE_S)
            with accepted:
                try:
                    with server.wrap_socket(accepted, server_side=True) as spoken:
                        spoken.sendall(b"x")
                        spoken.recv(1)
                except OSError as error:
                    return error
            return None

        def ask() -> Exception | None:
            with socket.create_connection(listener.getsockname(), PATIENCE_S) as plain:
                try:
                    with client.wrap_socket(plain, server_hostname=name) as spoken:
                        spoken.recv(1)
                except OSError as error:
                    return error
            return None

        with ThreadPoolExecutor(2) as threads:
            both_sides = [threads.submit(serve), threads.submit(ask)]
            return [each.result() for each in both_sides]


def both(files: TlsFiles) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's context of the same files."""
    return server_context(files, asks_everybody=False), client_context(files)
