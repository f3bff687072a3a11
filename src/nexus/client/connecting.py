"""`nexus.connect`: which session a target means."""

from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final, Literal

from nexus.client.connection import LEGACY_TRANSACTION_CONTROL, Connection
from nexus.client.exceptions import translated
from nexus.client.local import TIMEOUT_S, LocalSession
from nexus.client.remote import RemoteSession
from nexus.client.session import Session
from nexus.errors import NexusError

SCHEME: Final = "nexus://"

in_this_process: Final[dict[Path, Callable[[], Session]]] = {}
"""Data directories whose node is in this process: its SQLite must be the only one
there, so that their sessions go through it."""


def connect(  # noqa: PLR0913, PLR0917 - sqlite3's signature
    target: str | PathLike[str],
    /,
    timeout: float | None = None,
    detect_types: int = 0,
    isolation_level: str | None = "",
    check_same_thread: bool = True,  # noqa: FBT001, FBT002
    factory: Callable[..., Connection] = Connection,
    cached_statements: int = 128,  # noqa: ARG001
    uri: bool = False,  # noqa: ARG001, FBT001, FBT002
    *,
    autocommit: bool | Literal[-1] = LEGACY_TRANSACTION_CONTROL,
    secret: str = "",
    token: str = "",
) -> Any:
    """Connect to a data directory on this machine, or to a cluster: `nexus://a,b,c`.

    The arguments are those of `sqlite3.connect`, but for two: `timeout` is how many
    seconds a call looks for a node that can answer, failovers included, and `token`
    is what lets the client in; or `secret`, the cluster's. Without them, what stands
    in the URL, or else in the environment as NEXUS_TOKEN, does. `cached_statements`
    and `uri` have no meaning here. Raises Error.
    """
    try:
        session = _session(fspath(target), timeout, token or secret)
    except NexusError as error:
        raise translated(error) from error
    try:
        return factory(
            session,
            detect_types=detect_types,
            isolation_level=isolation_level,
            check_same_thread=check_same_thread,
            autocommit=autocommit,
        )
    except BaseException:
        session.close()
        raise


def _session(target: str, timeout_s: float | None, secret: str) -> Session:
    if target.startswith(SCHEME):
        return _remote(target, timeout_s, secret)
    directory = Path(target).resolve()
    own = in_this_process.get(directory)
    if own is not None:
        return own()
    return LocalSession(
        directory,
        lambda address: _remote(f"{SCHEME}{address}", timeout_s, secret),
        timeout_s=TIMEOUT_S if timeout_s is None else timeout_s,
    )


def _remote(url: str, timeout_s: float | None, secret: str) -> Session:
    return RemoteSession.open(url, timeout_s=timeout_s, secret=secret)
