"""Read the address of a cluster: `nexus://a:15475,b:15475/orders?read=nearest`."""

import os
import re
import ssl
from contextlib import suppress
from enum import StrEnum
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import parse_qsl, unquote

import msgspec

from nexus.client.trust import NAMES, NOTHING_SAID, Trust, trust_of
from nexus.errors import RequestError
from nexus.model.secret import Secret

TOKEN_VARIABLE: Final = "NEXUS_TOKEN"  # noqa: S105 - the variable's name
SCHEME: Final = "nexus"
DEFAULT_PORT: Final = 15475
TIMEOUT_S: Final = 30.0
"""Longer than an election among nodes with the default heartbeats."""


_MOST_PORT: Final = 65535

_PARTS: Final = re.compile(r"([^/?#]*)(/[^?#]*)?(?:\?([^#]*))?")
"""Addresses, path, query. `urlsplit` takes brackets nowhere but around a lone host."""

_HOST: Final = re.compile(r"[^][]+|\[[^][]+\]")

_IN_BRACKETS: Final = re.compile(r"([^/?#]*@)?\[([^/?#]*)\](?=[/?#]|$)")


class ReadFrom(StrEnum):
    """Who answers queries outside of a transaction."""

    MASTER = "master"
    REPLICA = "replica"
    """Any replica; the master only where there is none."""
    NEAREST = "nearest"
    """The node that answered the fastest when it was first asked."""


class Target(msgspec.Struct, frozen=True):
    """Whom to connect to, and how."""

    addresses: tuple[str, ...]
    secret: Secret = Secret()
    """The cluster's, or a token."""
    read: ReadFrom = ReadFrom.MASTER
    timeout_s: float = TIMEOUT_S
    """How long to look for a node that can answer, failovers included."""
    database: str = ""
    """Which of the cluster's; empty: the main one."""
    tls: ssl.SSLContext | None = None
    """None: plainly."""


def read_target(
    url: str,
    *,
    timeout_s: float | None = None,
    secret: str = "",
    trust: Trust = NOTHING_SAID,
) -> Target:
    """The target that a URL names; what is given beside it goes before.

    A token or the cluster's secret may stand before the addresses, as the password in
    `nexus://:nexus_…@a,b`.
    Raises RequestError that names what is wrong.
    """
    scheme, _, rest = url.partition("://")
    if scheme != SCHEME or not rest:
        raise _wrong(url, "it begins with nexus:// and an address")
    parts = _PARTS.match(_without_brackets(rest))
    assert parts is not None, "every part of it may be empty"
    named, path, asked = parts.groups(default="")
    credentials, at, hosts = named.rpartition("@")
    if not at and "@" in rest and (hosts.startswith(":") or "@" in path):
        # Nothing of it is shown: what was cut off here is half of a secret.
        raise _wrong(url, "write / in a token, or the secret, as %2F, ? as %3F")
    if credentials and ":" not in credentials:
        raise _wrong(
            url, "a token, or the secret, is a password: write nexus://:TOKEN@HOST"
        )
    addresses = tuple(_address(url, host) for host in hosts.split(",") if host)
    if not addresses:
        raise _wrong(url, "there is no address in it")
    database = unquote(path).strip("/")
    if "/" in database:
        raise _wrong(url, f"{path} is no name of a database, such as /orders")
    try:
        read, limit_s, said = _read_query(url, asked)
    except ValueError as error:
        raise _wrong(url, str(error)) from None
    known = secret or unquote(credentials.partition(":")[2]) or token_at_hand()
    return Target(
        addresses,
        Secret(known),
        read,
        limit_s if timeout_s is None else timeout_s,
        database,
        trust.over(said).context(),
    )


def _read_query(url: str, query: str) -> tuple[ReadFrom, float, Trust]:
    """Who reads, for how long a node is looked for, and what is said about TLS."""
    read, limit_s = ReadFrom.MASTER, TIMEOUT_S
    about_tls = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "read" and value in set(ReadFrom):
            read = ReadFrom(value)
        elif name == "timeout":
            limit_s = _seconds(url, value)
        elif name in NAMES:
            about_tls[name] = value
        else:
            raise ValueError(
                f"{name}={value} is none of read=master|replica|nearest, timeout=S, "
                "tls=on|off, ca=FILE, cert=FILE, key=FILE"
            )
    return read, limit_s, trust_of(about_tls)


def token_at_hand() -> str:
    """The token that this process was started with, or nothing."""
    return os.environ.get(TOKEN_VARIABLE, "")


def split_host(address: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[host]:port`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _without_brackets(rest: str) -> str:
    """What follows `nexus://`, with `a:1` for `[a:1]`, which SQLAlchemy needs."""
    found = _IN_BRACKETS.match(rest)
    if found is None:
        return rest
    before, inside = found[1] or "", found[2]
    with suppress(ValueError):
        IPv6Address(inside)
        return rest
    if 0 <= inside.find("]") < inside.find("["):
        return rest  # such as [::1]:7,[::2]
    return before + inside + rest[found.end() :]


def _address(url: str, text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    if (
        not _HOST.fullmatch(host)
        or not port.isdecimal()
        or not 0 < int(port) <= _MOST_PORT
    ):
        raise _wrong(url, f"{text} is no HOST:PORT")
    return f"{host}:{port}"


def _seconds(url: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise _wrong(url, f"timeout={value} is no number of seconds")
    return seconds


def _wrong(url: str, why: str) -> RequestError:
    before, separator, rest = url.rpartition("@")
    shown = f"{before.partition('://')[0]}://…@{rest}" if separator else url
    return RequestError(
        f"{shown!r} is no address of a cluster, such as nexus://a:15475,b:15475: {why}"
    )
