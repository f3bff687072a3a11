"""What a client and a node prove each other: the cluster's secret, or a token.

Each proof is over the other side's nonce and what is said: a recorded one is worth
nothing, and nothing can be changed on the way.

Of a token a node has only the SHA-256, and whoever reads the database has that as well:
so it must not do to know it. What proves a token is its secret, hidden by a pad that
both sides can make from the hash (as in SCRAM, RFC 5802); the node takes the pad off
and compares the hash of what is left. Neither secret nor hash is ever on the wire.
"""

import hmac
from typing import Final

import msgspec

from nexus.model.token import SECRET_BYTES, sha256
from nexus.protocol.calls import Attach, Attached

TOKEN_FEATURE: Final = "token:"  # noqa: S105 - a word of the protocol
"""In an Attach's features, before the id of the token that its client has."""


def attach_proof(secret: str, challenge: bytes, attach: Attach) -> bytes:
    """The HMAC that an Attach carries over the challenge and its other fields."""
    return _attach_code(secret.encode(), b"attach", challenge, attach)


def token_proof(secret: bytes, challenge: bytes, attach: Attach) -> bytes:
    """What an Attach carries instead, of a client that has a token."""
    return _xor(secret, _attach_code(sha256(secret), b"token", challenge, attach))


def proves_token(kept: bytes, challenge: bytes, attach: Attach) -> bool:
    """Whether the Attach's client has the secret that `kept` is the hash of."""
    if len(attach.auth) != SECRET_BYTES:
        return False
    pad = _attach_code(kept, b"token", challenge, attach)
    return hmac.compare_digest(sha256(_xor(attach.auth, pad)), kept)


def attached_proof(
    key: bytes, nonce: bytes, challenge: bytes, attached: Attached
) -> bytes:
    """The HMAC that an Attached carries over both nonces and its other fields.

    `key` is the secret's bytes, or the hash of the client's token.
    """
    said = msgspec.msgpack.encode(msgspec.structs.replace(attached, auth=b""))
    return hmac.digest(key, b"attached" + nonce + challenge + said, "sha256")


def proves(found: bytes, expected: bytes) -> bool:
    """Whether it is the one; the time that it takes does not tell where it differs."""
    return hmac.compare_digest(found, expected)


def token_of(attach: Attach) -> str:
    """The id of the token that a client says it has, or nothing."""
    named = (one for one in attach.features if one.startswith(TOKEN_FEATURE))
    return next(named, TOKEN_FEATURE).removeprefix(TOKEN_FEATURE)


def _attach_code(key: bytes, kind: bytes, challenge: bytes, attach: Attach) -> bytes:
    said = msgspec.msgpack.encode(msgspec.structs.replace(attach, auth=b""))
    return hmac.digest(key, kind + challenge + said, "sha256")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes([one ^ other for one, other in zip(left, right, strict=True)])
