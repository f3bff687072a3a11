"""Who may call: the bearer token, and no page of another site.

A browser sends a page's POST to any address, loopback too. It adds the page's
Origin, and asks first before it sends JSON: so both are checked.
"""

import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from nexus.api.refusals import CrossOriginError, UnauthorisedError
from nexus.config import Config, is_loopback

BEARER: Final = b"bearer "

Headers = Mapping[bytes, bytes]
"""A request's headers by name in lower case; of a repeated one the last."""


class Gate:
    """Lets a request pass, or raises what its sender is told."""

    def __init__(self, config: Config) -> None:
        secret = config.cluster_secret
        guarded = bool(secret) and not is_loopback(config.http_addr)
        self._token = secret.encode() if guarded else b""

    def check(self, headers: Headers, *, public: bool = False) -> None:
        """Raise UnauthorisedError or CrossOriginError for who may not call.

        `public` calls need no token: load balancers and Prometheus have none.
        """
        origin = headers.get(b"origin")
        if origin is not None:
            _check_origin(origin, headers.get(b"host", b""))
        if self._token and not public:
            self._check_token(headers.get(b"authorization", b""))

    def _check_token(self, authorization: bytes) -> None:
        given = authorization[len(BEARER) :].strip()
        is_bearer = authorization[: len(BEARER)].lower() == BEARER
        # In constant time: how long a refusal takes must not tell how much was right.
        if not hmac.compare_digest(given, self._token) or not is_bearer:
            raise UnauthorisedError(
                "this node listens beyond loopback, and the call does not carry its "
                "cluster secret"
            )


def _check_origin(origin: bytes, host: bytes) -> None:
    try:
        sender = urlsplit(origin.decode("ascii")).netloc
    except ValueError:
        sender = ""
    if not sender or sender.lower() != host.decode("latin-1").lower():
        raise CrossOriginError(
            f"the call comes from a page of {origin.decode('latin-1')!r}, this is "
            f"{host.decode('latin-1')!r}"
        )
