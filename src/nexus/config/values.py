"""The kinds of values that settings have, and how each is written by hand."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Meta

from nexus.model.secret import Secret

UNITS: Final = {
    "": 1,
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
    "TIB": 1 << 40,
}
TIMES: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
TIME_PATTERN: Final = re.compile(r"(\d+)\s*([smhdw])")
SIZE_PATTERN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
REPLICATION_PORT: Final = 15475

MOST_OF_A_LABEL: Final = 63
"""Characters between two dots of a host's name (RFC 1035)."""

WHOLE_NUMBER: Final = {"mend": "write a whole number in bounds"}
SIZE: Final = {"kind": "size", "mend": "write bytes or a size, like 64MiB"}
DURATION: Final = {"kind": "duration", "mend": "write a time, like 30s, 90m or 7d"}
ENDPOINTS: Final = {
    "kind": "urls",
    "mend": "write URLs, like http://10.0.0.1:2379,http://10.0.0.2:2379",
}
ETCD_PREFIX: Final = {"mend": "write a path, like /nexus/orders"}
NAMES: Final = {
    "kind": "names",
    "mend": "write names like orders,users: small letters, digits, - and _, at most 63",
}
ADDRESS: Final = {"kind": "address", "mend": "write HOST:PORT, like 127.0.0.1:15475"}

Count = Annotated[int, Meta(ge=1, extra=WHOLE_NUMBER)]
Natural = Annotated[int, Meta(ge=0, extra=WHOLE_NUMBER)]
Milliseconds = Annotated[int, Meta(ge=10, extra=WHOLE_NUMBER)]
Rate = Annotated[int, Meta(ge=16 << 10, extra=SIZE)]
Delay = Annotated[int, Meta(ge=0, le=1 << 40, extra=WHOLE_NUMBER)]
CompressionLevel = Annotated[int, Meta(ge=1, le=22, extra=WHOLE_NUMBER)]
Size = Annotated[int, Meta(ge=1, extra=SIZE)]
Duration = Annotated[int, Meta(ge=1, extra=DURATION)]
# A chunk travels in one frame, and a frame is at most 64 MiB.
ChunkSize = Annotated[int, Meta(ge=4096, le=32 << 20, extra=SIZE)]
Address = Annotated[str, Meta(extra=ADDRESS)]
Endpoint = Annotated[str, Meta(pattern=r"^https?://[^\s/]+/?$")]
DatabaseName = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9_-]{0,62}\Z")]
EtcdPrefix = Annotated[str, Meta(pattern=r"^/\S*[^\s/]$", extra=ETCD_PREFIX)]


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `[IPv6]:PORT` or `HOST` (the default port).

    Raises ValueError with what is wrong. An empty host means every interface.
    """
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, str(REPLICATION_PORT)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets")
    if not (port.isascii() and port.isdecimal() and int(port) < 1 << 16):
        raise ValueError(f"{port!r} is not a port between 0 and 65535")
    if not _is_host(host):
        raise ValueError(f"{host[:80]!r} is not a host")
    return host, int(port)


def _is_host(text: str) -> bool:
    """Whether a resolver can be asked for it; nothing is every interface."""
    if any(one.isspace() or one == "/" or not one.isprintable() for one in text):
        return False
    labels = text.removesuffix(".").split(".")
    return not text or all(0 < len(label) <= MOST_OF_A_LABEL for label in labels)


def join_address(host: str, port: int) -> str:
    """`HOST:PORT`, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach `address`; names but localhost cannot say."""
    host, _ = split_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_size(text: str) -> int:
    """Bytes of `10GiB`, `64 MB` or `4096`; raises ValueError for anything else."""
    match = SIZE_PATTERN.fullmatch(text.strip())
    if match is None or match[2].upper() not in UNITS:
        raise ValueError(f"{text!r} is not a size")
    return int(float(match[1]) * UNITS[match[2].upper()])


def parse_duration(text: str) -> int:
    """Seconds of `30s`, `90m` or `7d`; raises ValueError for anything else."""
    match = TIME_PATTERN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a time like 30s, 90m or 7d")
    return int(match[1]) * TIMES[match[2]]


def prepared(kind: str, value: Any, *, textual: bool) -> Any:
    """`value` as the type check expects it; `textual` values were typed by hand.

    Raises ValueError where the text cannot be read as that kind.
    """
    if not isinstance(value, str):
        return value
    match kind:
        case "size":
            return parse_size(value)
        case "duration":
            return parse_duration(value)
        case "address":
            split_address(value)
            return value
        case "addresses" | "urls" | "modules" | "names" if textual:
            return [part.strip() for part in value.split(",") if part.strip()]
    return value


def custom_value(wanted: type, value: object) -> object:
    """The types that the type check does not know: paths and secrets are text."""
    if not isinstance(value, str):
        raise TypeError(f"Expected text, got `{type(value).__name__}`")
    if wanted is Path:
        if not value:
            raise ValueError("Expected a path, got nothing")
        return Path(value).expanduser()
    return Secret(value)
