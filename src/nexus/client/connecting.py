"""Connect to a cluster: the one line that a program changes."""

from typing import Literal

from nexus.client.connection import LEGACY_TRANSACTION_CONTROL, Connection
from nexus.client.exceptions import translated
from nexus.client.remote import RemoteSession
from nexus.errors import NexusError


def connect(  # noqa: PLR0913 - sqlite3.connect has them
    target: str,
    *,
    timeout: float | None = None,
    secret: str = "",
    detect_types: int = 0,
    isolation_level: str | None = "",
    check_same_thread: bool = True,
    autocommit: bool | Literal[-1] = LEGACY_TRANSACTION_CONTROL,
) -> Connection:
    """A connection to the cluster of `nexus://a:15475,b:15475`.

    `timeout` is how long it may look for a node that can answer, a failover included;
    `secret` is the cluster's. The others are those of `sqlite3.connect`.
    Raises OperationalError where no node answers, InterfaceError where one refuses.
    """
    try:
        session = RemoteSession.open(target, timeout_s=timeout, secret=secret)
    except NexusError as error:
        raise translated(error) from error
    return Connection(
        session,
        detect_types=detect_types,
        isolation_level=isolation_level,
        check_same_thread=check_same_thread,
        autocommit=autocommit,
    )
