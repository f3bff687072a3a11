"""How a client knows that a node is who it says: what was asked for, as a context."""

import ssl
from os import PathLike, fspath
from pathlib import Path
from typing import Final

import msgspec

from nexus.errors import RequestError
from nexus.tls.contexts import TlsFiles, client_context

FilePath = str | PathLike[str]

_SWITCH: Final = {"on": True, "off": False}

NAMES: Final = frozenset({"tls", "ca", "cert", "key"})
"""What of a URL's query is about TLS."""


class Trust(msgspec.Struct, frozen=True):
    """What was asked for; None: nothing was said of it."""

    tls: bool | ssl.SSLContext | None = None
    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None

    def over(self, other: "Trust") -> "Trust":
        """This one where it says something, else the other."""
        found = (
            theirs if own is None else own
            for own, theirs in zip(
                msgspec.structs.astuple(self),
                msgspec.structs.astuple(other),
                strict=True,
            )
        )
        return Trust(*found)

    def context(self) -> ssl.SSLContext | None:
        """To connect with; None: plainly.

        A file of its own means that TLS is wanted. Raises ConfigurationError for files
        that cannot be used, RequestError for what contradicts itself.
        """
        files = [self.ca_file, self.cert_file, self.key_file]
        named = [fspath(file) for file in files if file is not None]
        if self.tls is None and not named:
            return None
        if self.tls is False:
            if named:
                raise RequestError(
                    f"tls is off, but {named[0]} is named; leave one out"
                )
            return None
        if isinstance(self.tls, ssl.SSLContext):
            if named:
                raise RequestError(
                    f"tls is a context of its own, and {named[0]} is not loaded into "
                    "it; leave one out"
                )
            return self.tls
        cert, key, ca = map(_path, (self.cert_file, self.key_file, self.ca_file))
        return client_context(TlsFiles(cert, key, ca))


NOTHING_SAID: Final = Trust()


def trust_of(options: dict[str, str]) -> Trust:
    """What the query of a URL says; raises ValueError for what it cannot say."""
    wanted = options.get("tls")
    if wanted is not None and wanted not in _SWITCH:
        raise ValueError(f"tls={wanted} is neither tls=on nor tls=off")
    return Trust(
        None if wanted is None else _SWITCH[wanted],
        *(options.get(name) or None for name in ("ca", "cert", "key")),
    )


def _path(file: FilePath | None) -> Path | None:
    return None if file is None else Path(file).expanduser()
