"""Who is let in: with the cluster secret, with a token, or where nothing is asked."""

import hmac
import time
from collections.abc import Callable
from typing import Final

from nexus.config import Config
from nexus.errors import TokenInDoubtError
from nexus.model.token import (
    TOKEN_PREFIX,
    Principal,
    Token,
    TokenRole,
    read_token,
    sha256,
)
from nexus.protocol.calls import Attach
from nexus.protocol.proofs import attach_proof, proves, proves_token, token_of
from nexus.storage.schema.tokens import KnownTokens

SECRET: Final = Principal(TokenRole.ADMIN, "cluster secret")

_NOBODY: Final = b"\0" * 32
"""What the secret of an unknown token is compared with: it takes as long."""


class Admittance:
    """Knows credentials by what the node has applied of the log, at every call anew.

    So a token that is made or revoked on the master is so on every node as soon as
    its entry is applied there; nothing is kept besides.
    """

    def __init__(
        self,
        config: Config,
        tokens: Callable[[], KnownTokens],
        in_doubt: Callable[[], bool] = lambda: False,
    ) -> None:
        """`in_doubt` tells whether a token may have been revoked without a word."""
        self.in_doubt = in_doubt
        self._secret = config.cluster_secret.encode()
        self._always = config.security.require_tokens
        self._tokens = tokens

    @property
    def secret(self) -> str:
        """The cluster's, or nothing."""
        return self._secret.decode()

    @property
    def has_secret(self) -> bool:
        """Whether there is a cluster secret."""
        return bool(self._secret)

    @property
    def asks(self) -> bool:
        """Whether a token (or the secret) is needed wherever this node listens."""
        return self._always or bool(self._tokens())

    def principal(self, credential: str) -> Principal | None:
        """Whose credential it is; None for nobody's. Raises TokenInDoubtError."""
        if not credential.startswith(TOKEN_PREFIX):
            given = credential.encode("utf-8", "surrogateescape")
            # In constant time: how long it takes must not tell how much was right.
            matches = hmac.compare_digest(given, self._secret)
            return SECRET if matches and self._secret else None
        found = read_token(credential)
        if found is None:
            return None
        token_id, secret = found
        token = self.token(token_id)
        kept = token.sha256 if token is not None else _NOBODY
        matches = hmac.compare_digest(sha256(secret), kept)
        return self._of_token(token) if token is not None and matches else None

    def proven(self, attach: Attach, challenge: bytes) -> Principal | None:
        """Who a client of the native port has proven to be; None: nothing it says is.

        The challenge was made for it, and is good once. Raises TokenInDoubtError.
        """
        token_id = token_of(attach)
        if not token_id:
            if not self._secret:
                return None
            expected = attach_proof(self.secret, challenge, attach)
            return SECRET if proves(attach.auth, expected) else None
        token = self.token(token_id)
        kept = token.sha256 if token is not None else _NOBODY
        proven = proves_token(kept, challenge, attach)
        return self._of_token(token) if token is not None and proven else None

    def _of_token(self, token: Token) -> Principal:
        if self.in_doubt():
            raise TokenInDoubtError(
                "this node has just started, and asks its master which tokens are "
                "good; ask again in a moment, or ask another node"
            )
        return _of_token(token)

    def token(self, token_id: str) -> Token | None:
        """The token with this id, while it is good."""
        token = self._tokens().get(token_id)
        if token is None or token.is_expired(time.time_ns() // 1000):
            return None
        return token

    @property
    def good_tokens(self) -> KnownTokens:
        """Those that are good now: none that has expired."""
        now_us = time.time_ns() // 1000
        tokens = self._tokens()
        return {k: each for k, each in tokens.items() if not each.is_expired(now_us)}

    def still_admits(self, principal: Principal) -> bool:
        """Whether whoever was let in before would be let in now."""
        if principal.token is not None:
            return self.token(principal.token.id) == principal.token
        return principal is SECRET or not self.asks


def _of_token(token: Token) -> Principal:
    """Who comes with this token."""
    return Principal(token.role, f"token {token.name or '-'} ({token.id})", token)
