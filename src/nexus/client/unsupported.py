"""What sqlite3's connections offer and these do not, each with its reason."""

from collections.abc import Callable
from typing import Any, Final

from nexus.client.exceptions import NotSupportedError

_FUNCTIONS: Final = (
    "the cluster's writer is shared by all clients and may run on another machine, "
    "where no function of this process is; compute the value before, or after"
)
_WATCHING: Final = "statements are compiled and run by the node, not by this process"
_COPIES: Final = (
    "what is replicated is changed by statements alone; `nexus import` takes in a "
    "whole database, and copies are made by `iterdump`, by `nexus snapshot`, or by "
    "sqlite3 in another process on a node's file"
)
_BLOBS: Final = (
    "what is replicated is changed by statements alone; read a part with "
    "substr(column, from, length), and write the whole value"
)
_LIMITS: Final = "SQLite's limits are the node's, the same for all clients"


def _refusing(
    name: str, reason: str, *, may_be_none: bool = False
) -> Callable[..., None]:
    def refuse(_: Any, *given: Any, **named: Any) -> None:
        if may_be_none and next(iter((*given, *named.values())), refuse) is None:
            return  # there is none to end
        raise NotSupportedError(f"{name} is not supported: {reason}")

    refuse.__name__ = name
    refuse.__doc__ = "Raises NotSupportedError, which tells why."
    return refuse


class Unsupported:
    """Methods that raise NotSupportedError."""

    create_function = _refusing("create_function", _FUNCTIONS)
    create_aggregate = _refusing("create_aggregate", _FUNCTIONS)
    create_window_function = _refusing("create_window_function", _FUNCTIONS)
    create_collation = _refusing("create_collation", _FUNCTIONS)
    enable_load_extension = _refusing("enable_load_extension", _FUNCTIONS)
    load_extension = _refusing("load_extension", _FUNCTIONS)
    set_authorizer = _refusing("set_authorizer", _WATCHING, may_be_none=True)
    set_progress_handler = _refusing(
        "set_progress_handler", _WATCHING, may_be_none=True
    )
    set_trace_callback = _refusing("set_trace_callback", _WATCHING, may_be_none=True)
    backup = _refusing("backup", _COPIES)
    serialize = _refusing("serialize", _COPIES)
    deserialize = _refusing("deserialize", _COPIES)
    blobopen = _refusing("blobopen", _BLOBS)
    getlimit = _refusing("getlimit", _LIMITS)
    setlimit = _refusing("setlimit", _LIMITS)
    getconfig = _refusing("getconfig", _LIMITS)
    setconfig = _refusing("setconfig", _LIMITS)
