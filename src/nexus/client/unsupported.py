"""What sqlite3's connections offer and these do not, each with its reason."""

from collections.abc import Callable
from typing import Any, Final, NoReturn

from nexus.client.exceptions import NotSupportedError

_FUNCTIONS: Final = (
    "the cluster's writer is shared by all clients and may run on another machine, "
    "where no function of this process is; compute the value before, or after"
)
_WATCHING: Final = "statements are compiled and run by the node, not by this process"
_COPIES: Final = (
    "what is replicated is changed by statements alone; `nexus import` and snapshots "
    "(POST /replication/snapshot) copy whole databases"
)
_LIMITS: Final = "SQLite's limits are the node's, the same for all clients"


def _refusing(name: str, reason: str) -> Callable[..., NoReturn]:
    def refuse(_: Any, *__: Any, **___: Any) -> NoReturn:
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
    set_authorizer = _refusing("set_authorizer", _WATCHING)
    set_progress_handler = _refusing("set_progress_handler", _WATCHING)
    set_trace_callback = _refusing("set_trace_callback", _WATCHING)
    backup = _refusing("backup", _COPIES)
    serialize = _refusing("serialize", _COPIES)
    deserialize = _refusing("deserialize", _COPIES)
    blobopen = _refusing("blobopen", _COPIES)
    getlimit = _refusing("getlimit", _LIMITS)
    setlimit = _refusing("setlimit", _LIMITS)
    getconfig = _refusing("getconfig", _LIMITS)
    setconfig = _refusing("setconfig", _LIMITS)
