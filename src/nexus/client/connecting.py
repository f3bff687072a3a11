"""`nexus.connect`: which session a target means."""

import ssl
from collections.abc import Callable
from os import PathLike, fsdecode
from pathlib import Path
from typing import Any, Final, Literal

from nexus.client.connection import LEGACY_TRANSACTION_CONTROL, Connection
from nexus.client.exceptions import translated
from nexus.client.local import TIMEOUT_S, LocalSession
from nexus.client.remote import RemoteSession
from nexus.client.session import Session
from nexus.client.target import read_target
from nexus.client.trust import FilePath, Trust
from nexus.errors import NexusError, RequestError

SCHEME: Final = "nexus://"

in_this_process: Final[dict[Path, Callable[[], Session]]] = {}
"""Data directories whose node is in this process: its SQLite must be the only one
there, so that their sessions go through it."""


def connect(  # noqa: PLR0913, PLR0917 - sqlite3's signature
    target: str | bytes | PathLike[str],
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
    tls: bool | ssl.SSLContext | None = None,
    ca_file: FilePath | None = None,
    cert_file: FilePath | None = None,
    key_file: FilePath | None = None,
) -> Any:
    """Connect to a data directory on this machine, or to a cluster: `nexus://a,b,c`.

    The arguments are those of `sqlite3.connect`, but for these: `timeout` is how many
    seconds a call looks for a node that can answer, failovers included; `token` is what
    lets the client in, or `secret`, the cluster's: without them, what stands in the
    URL, or else in the environment as NEXUS_TOKEN, does; `tls` is whether to speak it,
    or a context to speak it with; `ca_file` is the CA of the nodes' certificates (else:
    whom this machine trusts), `cert_file` and `key_file` are the client's own, where
    nodes ask for one. `cached_statements` and `uri` have no meaning here. Raises Error.
    """
    try:
        trust = Trust(tls, ca_file, cert_file, key_file)
        session = _session(fsdecode(target), timeout, token or secret, trust)
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


def _session(
    target: str, timeout_s: float | None, secret: str, trust: Trust
) -> Session:
    if target.startswith(SCHEME):
        return RemoteSession.open(
            target, timeout_s=timeout_s, secret=secret, trust=trust
        )
    if "://" in target:
        raise RequestError(
            f"a target that begins with {target.partition('://')[0]}:// is none: a "
            f"cluster's is {SCHEME}HOST:PORT, with a node's replication.bind_addr"
        )
    directory = Path(target).resolve()
    if directory.is_file():
        raise RequestError(
            f"{target} is a file; a target is a node's data directory, such as "
            f"{directory.parent}, or {SCHEME}HOST:PORT"
        )
    if not target or target == ":memory:":
        raise RequestError(
            "a node keeps its database on the disk: nexus.open(directory) makes one, "
            "and its node.connect() is a connection to it"
        )
    own = in_this_process.get(directory)
    if own is not None:
        return own()
    return LocalSession(
        directory,
        lambda address: RemoteSession(
            read_target(
                f"{SCHEME}{address}", timeout_s=timeout_s, secret=secret, trust=trust
            )
        ),
        timeout_s=TIMEOUT_S if timeout_s is None else timeout_s,
    )
