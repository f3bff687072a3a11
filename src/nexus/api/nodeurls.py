"""Where the API of another node is, from the URL that is told of it."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from nexus.api.connections import Address

PORTS: Final = {"http": 80, "https": 443}
"""Of each scheme, where the URL names none."""


@dataclass(frozen=True, slots=True)
class NodeUrl:
    """A URL, taken apart for a request's head."""

    address: Address
    host: str
    """As the header Host has it."""
    path: str
    """Before that of every call; empty, or with a leading slash alone."""


def read_node_url(url: str, *, speaks_tls: bool) -> NodeUrl:
    """The URL of a node that this one can speak to; else ValueError says why not.

    A node that speaks TLS tries that whatever the URL says: where it is not spoken,
    that is found out before the secret leaves.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is no address such as http://HOST:PORT")
    if parts.scheme == "https" and not speaks_tls:
        raise ValueError(
            f"{url} is not asked: this node speaks no TLS; set tls.cert_file and "
            "tls.key_file on every node, or on none"
        )
    return NodeUrl((parts.hostname, port), parts.netloc, parts.path.rstrip("/"))
