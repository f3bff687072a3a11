"""A bearer token: what one may do with it, and what a node keeps of it.

Its text is `nexus_<id>_<secret>`. The id is no secret: it stands in lists and logs. The
secret is 32 random bytes, of which only the SHA-256 is kept. That is enough: no one
guesses 256 random bits, so a slow hash with salt, as passwords need, would add nothing.
"""

import binascii
import hashlib
import re
from enum import StrEnum
from typing import Final

import msgspec

TOKEN_PREFIX: Final = "nexus_"  # noqa: S105 - of every token
SECRET_BYTES: Final = 32
ID_BYTES: Final = 5

LET_IN_NO_MORE: Final = "the token was revoked or has expired, or one is needed by now"
_TEXT: Final = re.compile(r"nexus_([0-9a-f]{10})_([A-Za-z0-9_-]{43})")


class TokenRole(StrEnum):
    """What a caller may do; each may do what those before it may."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def covers(self, needed: "TokenRole | None") -> bool:
        """Whether this role may do what `needed` may; None: what anybody may."""
        return needed is None or _RANK[self] >= _RANK[needed]


_RANK: Final = {role: rank for rank, role in enumerate(TokenRole)}


class Token(msgspec.Struct, frozen=True, array_like=True):
    """What every node of the cluster knows of one token."""

    id: str
    name: str
    """What its maker calls it; for lists and logs."""
    role: TokenRole
    sha256: bytes
    """Of its secret."""
    created_us: int
    """Microseconds since 1970."""
    expires_us: int = 0
    """It is good no more from then on; 0: it is good until it is revoked."""

    def is_expired(self, now_us: int) -> bool:
        """Whether its time is over."""
        return bool(self.expires_us) and now_us >= self.expires_us


class Principal(msgspec.Struct, frozen=True):
    """Who calls, as far as a node knows, and what they may do."""

    role: TokenRole
    who: str
    """For the log: `token deploy (0123456789)`, `cluster secret`, `anonymous`."""
    token: Token | None = None

    def capped(self, role: TokenRole, on_behalf_of: str) -> "Principal":
        """The same caller doing what another one asked it to: no more than both may."""
        least = min(self.role, role, key=_RANK.__getitem__)
        return Principal(least, f"{on_behalf_of} by {self.who}", self.token)


ANONYMOUS: Final = Principal(TokenRole.ADMIN, "anonymous")
"""Whoever reaches a node that asks for nothing."""


def token_text(token_id: str, secret: bytes) -> str:
    """The token as its bearer keeps it."""
    coded = binascii.b2a_base64(secret, newline=False).rstrip(b"=")
    return f"{TOKEN_PREFIX}{token_id}_{coded.translate(_TO_URL).decode()}"


def read_token(text: str) -> tuple[str, bytes] | None:
    """Id and secret of a token; None for any other text."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    return match[1], binascii.a2b_base64(match[2].encode().translate(_FROM_URL) + b"=")


def sha256(secret: bytes) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret).digest()


_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")
