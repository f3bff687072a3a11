"""Make, revoke and rotate the cluster's tokens: entries of the master's log."""

import asyncio
import secrets
import time
from typing import Final

import msgspec

from nexus.errors import ClusterChangeError, NotFoundError
from nexus.model.operation import TokenChange, Tokens
from nexus.model.token import (
    ID_BYTES,
    SECRET_BYTES,
    Token,
    TokenRole,
    sha256,
    token_text,
)
from nexus.node.duty import CurrentDuty
from nexus.node.operators.indoubt import InDoubtPeriod
from nexus.protocol.messages import TOKENS
from nexus.storage.schema.tokens import NO_TOKENS, KnownTokens

MOST_TOKENS: Final = 1_000
"""Every node holds all of them in memory, and writes them to every snapshot."""

_WHY: Final = "tokens are the master's to make and revoke"


class TokenKeeper:
    """The tokens as one node sees them; changes are the master's, one at a time."""

    def __init__(self, duties: CurrentDuty) -> None:
        self._duties = duties
        self._changing = asyncio.Lock()
        self._in_doubt = InDoubtPeriod(duties)

    def begin(self) -> None:
        """The node starts: what it knows may have been revoked meanwhile."""
        self._in_doubt.begin()

    @property
    def in_doubt(self) -> bool:
        """Whether it does not know yet; never of a named database's node."""
        return self._in_doubt.lasts

    @property
    def known(self) -> KnownTokens:
        """What this node has applied."""
        duties = self._duties
        return duties.parts.database.tokens if duties.is_open else NO_TOKENS

    async def create(
        self, role: TokenRole, name: str, *, lasts_s: int
    ) -> tuple[Token, str]:
        """A new token, and its text, which nobody can tell again.

        `lasts_s` 0: until it is revoked. Raises WrongRoleError, ClusterChangeError.
        """
        async with self._changing:
            self._require_master()
            if len(self.known) >= MOST_TOKENS:
                raise ClusterChangeError(
                    f"there are {MOST_TOKENS} tokens already; revoke those of no more "
                    "use"
                )
            token, text = _new(role, name, lasts_s)
            self._require_an_admin({**self.known, token.id: token})
            await self._write(TokenChange(None, token))
        return token, text

    async def revoke(self, token_id: str) -> Token:
        """The token is good no more; returns what it was. Raises NotFoundError."""
        async with self._changing:
            token = self._find(token_id)
            others = {k: v for k, v in self.known.items() if k != token_id}
            self._require_an_admin(others)
            await self._write(TokenChange(token, None))
        return token

    async def rotate(self, token_id: str, *, grace_s: int) -> tuple[Token, str]:
        """A new token like this one, which is good for `grace_s` more.

        Raises NotFoundError.
        """
        async with self._changing:
            old = self._find(token_id)
            lasts_s = 0
            if old.expires_us:
                lasts_s = max(1, (old.expires_us - old.created_us) // 1_000_000)
            token, text = _new(old.role, old.name, lasts_s)
            ends_us = _now_us() + grace_s * 1_000_000
            if old.expires_us:
                ends_us = min(ends_us, old.expires_us)
            left = msgspec.structs.replace(old, expires_us=ends_us) if grace_s else None
            await self._write(TokenChange(old, left), TokenChange(None, token))
        return token, text

    def _find(self, token_id: str) -> Token:
        self._require_master()
        token = self.known.get(token_id)
        if token is None:
            raise NotFoundError(
                f"there is no token {token_id[:40]!r}; GET /tokens lists them"
            )
        return token

    def _require_master(self) -> None:
        self._duties.reigning(_WHY)

    def _require_an_admin(self, tokens: KnownTokens) -> None:
        """Without a secret somebody must be left who may make and revoke tokens."""
        if not tokens or self._duties.parts.config.cluster_secret:
            return
        if not any(token.role is TokenRole.ADMIN for token in tokens.values()):
            raise ClusterChangeError(
                "no token of the role admin would be left, and this node has no "
                "cluster secret: nobody could make or revoke tokens; make one for an "
                "admin first"
            )

    async def _write(self, *changes: TokenChange) -> None:
        manager = self._duties.reigning(_WHY).manager
        old = self._duties.parts.publisher.lacking(TOKENS)
        if old:
            raise ClusterChangeError(
                f"{', '.join(old)} would stop at a token: an older release runs there, "
                "which knows none; upgrade every node first"
            )
        await manager.write(Tokens(changes))


def _new(role: TokenRole, name: str, lasts_s: int) -> tuple[Token, str]:
    token_id, secret = secrets.token_hex(ID_BYTES), secrets.token_bytes(SECRET_BYTES)
    now_us = _now_us()
    expires_us = now_us + lasts_s * 1_000_000 if lasts_s else 0
    token = Token(token_id, name, role, sha256(secret), now_us, expires_us)
    return token, token_text(token_id, secret)


def _now_us() -> int:
    return time.time_ns() // 1000
