"""What an engine's URL means to `nexus.connect`."""

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv6Address
from typing import Any, Final
from urllib.parse import quote, urlencode

from sqlalchemy import exc
from sqlalchemy.engine import URL

_OURS: Final = ("host", "foreign_keys")
"""What of a URL's query `nexus.connect` is not told."""


def target(url: URL) -> str:
    """The cluster's URL, or the path of a directory; empty where there is neither.

    Several addresses stand in brackets, or in more `host`s of the query: SQLAlchemy
    itself reads but one port.
    """
    addresses = list(_addresses(url))
    if not addresses:
        return url.database or ""
    query = {name: url.query[name] for name in url.query if name not in _OURS}
    options = f"?{urlencode(query, doseq=True)}" if query else ""
    database = quote(url.database or "", safe="/")
    return f"nexus://{_credentials(url)}{','.join(addresses)}/{database}{options}"


def options_of(url: URL) -> dict[str, Any]:
    """What `nexus.connect` is told beside a directory; a cluster's URL says it all.

    Raises ArgumentError for what means nothing there.
    """
    if next(_addresses(url), None) is not None:
        return {}
    for name in url.query:
        if name not in (*_OURS, "timeout"):
            raise exc.ArgumentError(
                f"{name}= means nothing for a directory in this machine; its URL takes "
                "timeout=S and foreign_keys=on|off"
            )
    given = url.query.get("timeout")
    if given is None:
        return {}
    with suppress(TypeError, ValueError):
        seconds = float(given)  # type: ignore[arg-type]  # a tuple where named twice
        if 0 < seconds < float("inf"):
            return {"timeout": seconds}
    raise exc.ArgumentError(f"timeout={given} is no number of seconds")


def _addresses(url: URL) -> Iterator[str]:
    host, more = url.host or "", url.query.get("host", ())
    if host:
        with suppress(ValueError):
            host = f"[{IPv6Address(host)}]"  # SQLAlchemy has taken its brackets off
        yield f"{host}:{url.port}" if url.port else host
    yield from filter(None, (more,) if isinstance(more, str) else more)


def _credentials(url: URL) -> str:
    """As they stood in the URL: SQLAlchemy has decoded them."""
    user = quote(url.username or "", safe="")
    if url.password is None:
        return f"{user}@" if user else ""
    return f"{user}:{quote(str(url.password), safe='')}@"
