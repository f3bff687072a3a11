"""The contexts that TLS is spoken with, made from files, with what is wrong in a line.

Versions before 1.2 are not spoken, nothing is renegotiated, and no session is taken up
again: who was refused a certificate since then must not come back with an old ticket.
"""

import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from typing_extensions import override

from nexus.errors import ConfigurationError
from nexus.tls.words import in_words

last_words: Final[ContextVar[list[bytes] | None]] = ContextVar(
    "last_words", default=None
)
"""Where a server's handshake leaves what it has to say: an alert tells the other side
why it failed, where else a connection just ends."""

_MOST_ROUNDS: Final = 10
"""Of a handshake in memory; one takes three."""

_REASONS: Final = {
    "KEY_VALUES_MISMATCH": "{key} does not belong to {cert}; name the key that the "
    "certificate was made with",
    "NO_START_LINE": "{cert} or {key} is no PEM file; write both in PEM",
}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a side's certificate, its key and the CA stand; all in PEM."""

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    """Whom to trust; None: whom this machine trusts."""
    prefix: str = ""
    """What the names of the settings begin with, in errors."""
    crl: Path | None = None
    """Which of the CA's certificates were revoked; None: none."""

    def told(self, name: Literal["cert", "key", "ca", "crl"]) -> str:
        """One of them as an error names it."""
        paths = {"cert": self.cert, "key": self.key, "ca": self.ca, "crl": self.crl}
        return f"{self.prefix}{name}_file = '{paths[name]}'"


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """For who connects: the other side's certificate and name are checked.

    Raises ConfigurationError for files that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    if files.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, files)
    if files.cert is not None or files.key is not None:
        _identify(context, files)
    return context


def server_context(files: TlsFiles, *, asks_everybody: bool) -> ssl.SSLContext:
    """For who is connected to; a certificate that is shown is checked against the CA.

    Raises ConfigurationError for files that cannot be used.
    """
    context = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.num_tickets = 0
    _identify(context, files)
    if files.ca is not None:
        _trust(context, files)
        wanted = ssl.CERT_REQUIRED if asks_everybody else ssl.CERT_OPTIONAL
        context.verify_mode = wanted
    return context


class _Server(ssl.SSLObject):
    """One handshake that leaves its last word: asyncio drops it where it fails."""

    outgoing: ssl.MemoryBIO
    words: list[bytes] | None

    @override
    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            if self.words is not None:
                self.words.append(self.outgoing.read())
            raise


class _ServerContext(ssl.SSLContext):
    sslobject_class = _Server

    @override
    def wrap_bio(self, incoming: Any, outgoing: Any, *more: Any, **named: Any) -> Any:
        made = super().wrap_bio(incoming, outgoing, *more, **named)
        assert isinstance(made, _Server), "it is of this context's class"
        made.outgoing, made.words = outgoing, last_words.get()
        return made


def rehearse(server: ssl.SSLContext, client: ssl.SSLContext, files: TlsFiles) -> None:
    """Let two sides of these contexts meet in memory, as two nodes will on the wire.

    Raises ConfigurationError where they would refuse each other.
    """
    checks_hostname, client.check_hostname = client.check_hostname, False
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    try:
        for _ in range(_MOST_ROUNDS):
            for side in sides:
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"other nodes would refuse {files.told('cert')}, which should be signed "
            f"by {files.told('ca')} and serve both ends of a connection: "
            f"{in_words(error)}"
        ) from None
    finally:
        client.check_hostname = checks_hostname


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.options |= ssl.OP_NO_COMPRESSION


def _trust(context: ssl.SSLContext, files: TlsFiles) -> None:
    assert files.ca is not None, "asked where there is one"
    text = _read(files.ca, files.told("ca"))
    try:
        context.load_verify_locations(cadata=text.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError):
        raise ConfigurationError(
            f"{files.told('ca')} holds no certificate; name the CA's, in PEM"
        ) from None
    if files.crl is not None:
        _heed(context, files.crl, files.told("crl"))


def _heed(context: ssl.SSLContext, crl: Path, told: str) -> None:
    """Refuse what the list names; a certificate beside it would be trusted as a CA."""
    text = _read(crl, told)
    if b"BEGIN X509 CRL" not in text or b"CERTIFICATE--" in text:
        raise ConfigurationError(
            f"{told} is no list of revoked certificates; name what nexus tls revoke "
            "writes, in PEM, with nothing beside it"
        )
    try:
        context.load_verify_locations(cafile=crl)
    except ssl.SSLError:
        raise ConfigurationError(
            f"{told} is damaged; make it anew with the tool that made it"
        ) from None
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _identify(context: ssl.SSLContext, files: TlsFiles) -> None:
    if files.cert is None or files.key is None:
        raise ConfigurationError(
            f"{files.prefix}cert_file and {files.prefix}key_file go together; set both"
        )
    _read(files.cert, files.told("cert"))
    _read(files.key, files.told("key"))
    try:
        context.load_cert_chain(files.cert, files.key, password=_refuse(files))
    except ssl.SSLError as error:
        reason = str(error.reason or "no PEM")
        said = _REASONS.get(reason, "{cert} and {key} cannot be used: " + reason)
        raise ConfigurationError(
            said.format(cert=files.told("cert"), key=files.told("key"))
        ) from None


def _refuse(files: TlsFiles) -> Callable[[], str]:
    """Called for a passphrase: nobody is there to type it."""

    def refuse() -> str:
        raise ConfigurationError(
            f"{files.told('key')} is protected by a passphrase; name a key without "
            "one, that only the node's user can read"
        )

    return refuse


def _read(path: Path, told: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{told} cannot be read: {error.strerror or error}; name a file in PEM "
            "that the node's user can read"
        ) from None
