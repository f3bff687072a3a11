"""What a client has written, so that it reads no older state afterwards."""

from contextvars import ContextVar
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, connections

_seen: Final[ContextVar[int]] = ContextVar("nexus_seen_offset", default=0)


def written() -> int:
    """The offset of the last write on this thread's connection to the cluster, or 0."""
    connection: Any = connections[DEFAULT_DB_ALIAS].connection
    position = None if connection is None else connection.last_position
    return 0 if position is None else int(position.offset)


def needed() -> int:
    """The offset that a replica must hold before this client may read from it."""
    return max(_seen.get(), written())


def applied(alias: str) -> int:
    """The last offset that the node behind `alias` has applied.

    Raises Django's DatabaseError where it does not tell.
    """
    wrapper = connections[alias]
    wrapper.ensure_connection()
    with wrapper.wrap_database_errors:
        rows = wrapper.connection.execute('select "offset" from nexus_position')
        offset: int = rows.fetchone()[0]
    return offset


def seen(offset: int) -> None:
    """From here on this client knows the entries up to `offset`."""
    _seen.set(offset)
