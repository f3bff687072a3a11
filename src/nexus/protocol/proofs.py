"""What a client and a node prove each other: that they know the cluster's secret.

Each proof is over the other side's nonce and what is said: a recorded one is worth
nothing, and nothing can be changed on the way.
"""

import hmac

import msgspec

from nexus.protocol.calls import Attach, Attached


def attach_proof(secret: str, challenge: bytes, attach: Attach) -> bytes:
    """The HMAC that an Attach carries over the challenge and its other fields."""
    said = msgspec.msgpack.encode(msgspec.structs.replace(attach, auth=b""))
    return hmac.digest(secret.encode(), b"attach" + challenge + said, "sha256")


def attached_proof(
    secret: str, nonce: bytes, challenge: bytes, attached: Attached
) -> bytes:
    """The HMAC that an Attached carries over both nonces and its other fields."""
    said = msgspec.msgpack.encode(msgspec.structs.replace(attached, auth=b""))
    return hmac.digest(
        secret.encode(), b"attached" + nonce + challenge + said, "sha256"
    )


def proves(found: bytes, expected: bytes) -> bool:
    """Whether it is the one; the time that it takes does not tell where it differs."""
    return hmac.compare_digest(found, expected)
