"""A node's certificate, key and CA: loaded, watched, and loaded again when they change.

Connections that stand keep what they were made with; a new one takes what is current.
So a certificate is exchanged without a restart, and without a lost connection, but for
those of a certificate that is revoked.
"""

import asyncio
import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Final

import structlog

from nexus.config import TlsSettings
from nexus.errors import ConfigurationError
from nexus.model.cluster import CERTIFICATE_SOON_S
from nexus.node.network.established import EstablishedConnections
from nexus.node.telemetry.measures import Measures
from nexus.tls.contexts import TlsFiles, client_context, rehearse, server_context
from nexus.tls.revoked import NOTHING, Revoked, read_lists

LOOK_EVERY_S: Final = 5.0
"""Between two looks whether a file has changed."""

TELL_EVERY_S: Final = 86_400.0
"""Between two warnings that a certificate ends."""

LIST_TELL_EVERY_S: Final = 600.0
"""Between two warnings that the list of revoked certificates has ended."""

OPEN_TO_OTHERS: Final = 0o077
"""Rights of a key's file that only its owner should have."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Loaded:
    server: SSLContext
    client: SSLContext
    expires_s: float
    """Of the certificate or its CA, whichever ends first; Unix time."""
    shows: bytes
    """What the files held."""
    revoked: Revoked = NOTHING


class Credentials:
    """What this node proves itself with, and what it asks of others."""

    def __init__(self, settings: TlsSettings) -> None:
        """Raises ConfigurationError for files that cannot be used."""
        self._files = TlsFiles(
            settings.cert_file,
            settings.key_file,
            settings.ca_file,
            "tls.",
            settings.crl_file,
        )
        self._is_optional = settings.mode == "optional"
        self._asks_everybody = settings.client_certs == "required"
        self._looked = asyncio.Event()
        self._refused = b""
        self._told_s = self._list_told_s = -TELL_EVERY_S
        self._loaded = self._load(self._read())
        self._established = EstablishedConnections(self._loaded.revoked)

    @classmethod
    def of(cls, settings: TlsSettings) -> "Credentials | None":
        """None where TLS is not configured; raises ConfigurationError."""
        return None if settings.cert_file is None else cls(settings)

    @property
    def server(self) -> SSLContext:
        """For who connects to this node from now on."""
        return self._loaded.server

    @property
    def client(self) -> SSLContext:
        """For what this node connects to from now on."""
        return self._loaded.client

    @property
    def asks_nodes(self) -> bool:
        """Whether other nodes must show a certificate of the CA."""
        return self._files.ca is not None

    @property
    def expires_s(self) -> float:
        """When the certificate ends, or its CA if that is sooner; Unix time."""
        return self._loaded.expires_s

    @property
    def list_ends_s(self) -> float | None:
        """When the list of revoked certificates ends, Unix time; None: it does not."""
        return self._loaded.revoked.ends_s

    def met(self, transport: asyncio.WriteTransport) -> None:
        """A connection stands: it ends when its other side's certificate is revoked."""
        if self._files.crl is not None:
            self._established.add(transport)

    def look_now(self) -> None:
        """Have `watch` look at the files at once; for the loop."""
        self._looked.set()

    async def watch(self, measures: Measures) -> None:
        """Load the files again whenever they change; warn before they expire."""
        self._tell(measures)
        if self._is_optional:
            log.warning(
                "tls_optional",
                reason="who speaks plainly is served too; once every node has its "
                "certificate, set tls.mode = 'required', one node after another",
            )
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._looked.wait()
            except TimeoutError:
                pass
            self._looked.clear()
            if await asyncio.to_thread(self.refresh):
                self._established.revoke(self._loaded.revoked)
            self._established.forget_closed()
            self._tell(measures)

    def _tell(self, measures: Measures) -> None:
        measures.certificate_expires = self.expires_s
        measures.revocation_list_ends = self.list_ends_s
        self._warn()
        self._warn_of_list()

    def refresh(self) -> bool:
        """Load the files if they have changed; whether they were. Blocks.

        Files that cannot be used are told of once, and those of before stay in use.
        """
        found = self._read()
        if found in (self._loaded.shows, self._refused):
            return False
        try:
            self._loaded = self._load(found)
        except ConfigurationError as error:
            self._refused = found
            log.warning("certificate_not_reloaded", reason=str(error))
            return False
        self._refused, self._told_s = b"", -TELL_EVERY_S
        self._list_told_s = -TELL_EVERY_S
        log.info("certificate_reloaded", expires=_date(self.expires_s))
        return True

    def _read(self) -> bytes:
        """What the files hold now; what cannot be read is told by who loads it."""
        return b"\0".join(_content(path) for path in self._paths())

    def _paths(self) -> list[Path]:
        files = self._files
        paths = (files.cert, files.key, files.ca, files.crl)
        return [path for path in paths if path is not None]

    def _load(self, shows: bytes) -> _Loaded:
        server = server_context(self._files, asks_everybody=self._asks_everybody)
        own = self._files if self.asks_nodes else TlsFiles()
        client = client_context(own)
        expires_s = self._expiry_s()
        if self.asks_nodes:
            rehearse(server, client, self._files)
        assert self._files.key is not None, "the server's context has asked for it"
        if self._files.key.stat().st_mode & OPEN_TO_OTHERS:
            log.warning(
                "key_open_to_others",
                file=str(self._files.key),
                reason="others on this machine may read it; chmod 600",
            )
        crl = self._files.crl
        revoked = NOTHING if crl is None else read_lists(crl)
        return _Loaded(server, client, expires_s, shows, revoked)

    def _expiry_s(self) -> float:
        """When the certificate or its CA ends; raises where it is not valid now."""
        from nexus.tls.certificates import read_certificates  # noqa: PLC0415 - 8 MB

        files, now_s = self._files, time.time()
        assert files.cert is not None, "there are no credentials without it"
        own = read_certificates(files.cert, files.told("cert"))[0]
        begins_s, ends_s = own.begins.timestamp(), own.ends.timestamp()
        if now_s >= ends_s:
            raise ConfigurationError(
                f"{files.told('cert')} has expired on {_date(ends_s)}; issue another"
            )
        if now_s < begins_s:
            raise ConfigurationError(
                f"{files.told('cert')} is not valid before {_date(begins_s)}; compare "
                "this machine's clock with the one that it was made on"
            )
        if files.ca is None:
            return ends_s
        # A bundle holds the CA of before, while the certificates are exchanged.
        authorities = read_certificates(files.ca, files.told("ca"))
        return min(ends_s, max(each.ends.timestamp() for each in authorities))

    def _warn(self) -> None:
        left_s = self.expires_s - time.time()
        if (
            left_s > CERTIFICATE_SOON_S
            or time.monotonic() - self._told_s < TELL_EVERY_S
        ):
            return
        self._told_s = time.monotonic()
        log.warning(
            "certificate_expires",
            file=str(self._files.cert),
            expires=_date(self.expires_s),
            days_left=int(left_s // 86_400),
            reason="put another one in its place; no restart is needed",
        )

    def _warn_of_list(self) -> None:
        ends_s, now_s = self.list_ends_s, time.monotonic()
        if ends_s is None or ends_s > time.time():
            return
        if now_s - self._list_told_s < LIST_TELL_EVERY_S:
            return
        self._list_told_s = now_s
        log.warning(
            "revocation_list_ended",
            file=str(self._files.crl),
            ended=_date(ends_s),
            reason="every new connection with a certificate of its CA is refused until "
            "a newer list is put in its place; no restart is needed",
        )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        return str(error).encode()


def _date(unix_s: float) -> str:
    return dt.datetime.fromtimestamp(unix_s, dt.UTC).isoformat(timespec="seconds")
