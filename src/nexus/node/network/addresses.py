"""Addresses as other nodes can use them.

A node that listens on every address of its machine does not know by which one others
reach it. The peer that hears such an address knows: it is where the bytes came from.
"""

from typing import Final

from nexus.config import join_address, split_address

_EVERY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared only

_HTTP: Final = ("http://", "https://")


def reachable(address: str, seen_host: str) -> str:
    """`address`, with the host that its owner was seen at where it names every one.

    What is no address is returned as it is: it is the other side's word.
    """
    if not address:
        return ""
    try:
        host, port = split_address(address)
    except ValueError:
        return address
    return join_address(seen_host, port) if host in _EVERY_ADDRESS else address


def reachable_url(url: str, seen_host: str) -> str:
    """The same for a URL: a scheme, an address and perhaps a path."""
    if not url.startswith(_HTTP):
        return url
    scheme, _, rest = url.partition("://")
    address, slash, path = rest.partition("/")
    return f"{scheme}://{reachable(address, seen_host)}{slash}{path}"
