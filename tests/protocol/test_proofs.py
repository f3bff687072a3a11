"""Who knows the secret can prove it; nobody else, and for nothing else."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, Offset
from nexus.model.token import sha256
from nexus.protocol.calls import Attach, Attached
from nexus.protocol.proofs import (
    attach_proof,
    attached_proof,
    proves,
    proves_token,
    token_of,
    token_proof,
)

ATTACH = Attach(1, 1, "app", nonce=b"n" * 16)
ATTACHED = Attached(1, NodeId("a"), "c", "master", Epoch(1), "a:1", "", Offset(0), 5000)


@given(st.text(), st.text(), st.binary(), st.binary())
def test_a_proof_is_of_one_secret_and_one_challenge(
    secret: str, other: str, nonce: bytes, challenge: bytes
) -> None:
    attach = attach_proof(secret, challenge, ATTACH)
    attached = attached_proof(secret.encode(), nonce, challenge, ATTACHED)

    assert proves(attach, attach_proof(secret, challenge, replace(ATTACH, auth=b"x")))
    assert proves(
        attached,
        attached_proof(secret.encode(), nonce, challenge, replace(ATTACHED, auth=b"x")),
    )
    assert proves(attach, attach_proof(other, challenge, ATTACH)) is (secret == other)
    assert not proves(attach, attach_proof(secret, challenge + b"!", ATTACH))
    assert not proves(
        attached, attached_proof(secret.encode(), nonce, challenge + b"!", ATTACHED)
    )
    assert not proves(attached, attach)


def test_a_proof_is_of_what_is_said() -> None:
    proof = attached_proof(b"s", b"n", b"c", ATTACHED)

    changed = replace(ATTACHED, master_addr="evil:1")

    assert not proves(proof, attached_proof(b"s", b"n", b"c", changed))
    assert not proves(
        attach_proof("s", b"c", ATTACH),
        attach_proof("s", b"c", replace(ATTACH, client="x")),
    )


_SECRETS = st.binary(min_size=32, max_size=32)


@given(_SECRETS, _SECRETS, st.binary())
def test_a_token_is_proven_by_its_secret_for_one_challenge(
    secret: bytes, other: bytes, challenge: bytes
) -> None:
    proven = replace(ATTACH, auth=token_proof(secret, challenge, ATTACH))

    assert proves_token(sha256(secret), challenge, proven)
    assert not proves_token(sha256(secret), challenge + b"!", proven)
    assert not proves_token(sha256(secret), challenge, replace(proven, client="x"))
    assert proves_token(sha256(other), challenge, proven) is (secret == other)


@given(_SECRETS, st.binary())
def test_who_knows_the_hash_alone_proves_nothing(
    secret: bytes, challenge: bytes
) -> None:
    kept = sha256(secret)

    for pretended in (kept, b"", secret[:31]):
        forged = (
            token_proof(kept, challenge, ATTACH) if pretended == kept else pretended
        )
        attach = replace(ATTACH, auth=forged)
        assert not proves_token(kept, challenge, attach)


def test_a_client_names_its_token_among_its_features() -> None:
    assert token_of(replace(ATTACH, features=("x", "token:0a"))) == "0a"
    assert token_of(ATTACH) == ""
