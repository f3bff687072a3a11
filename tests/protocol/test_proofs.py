"""Who knows the secret can prove it; nobody else, and for nothing else."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, Offset
from nexus.protocol.calls import Attach, Attached
from nexus.protocol.proofs import attach_proof, attached_proof, proves

ATTACH = Attach(1, 1, "app", nonce=b"n" * 16)
ATTACHED = Attached(1, NodeId("a"), "c", "master", Epoch(1), "a:1", "", Offset(0), 5000)


@given(st.text(), st.text(), st.binary(), st.binary())
def test_a_proof_is_of_one_secret_and_one_challenge(
    secret: str, other: str, nonce: bytes, challenge: bytes
) -> None:
    attach = attach_proof(secret, challenge, ATTACH)
    attached = attached_proof(secret, nonce, challenge, ATTACHED)

    assert proves(attach, attach_proof(secret, challenge, replace(ATTACH, auth=b"x")))
    assert proves(
        attached, attached_proof(secret, nonce, challenge, replace(ATTACHED, auth=b"x"))
    )
    assert proves(attach, attach_proof(other, challenge, ATTACH)) is (secret == other)
    assert not proves(attach, attach_proof(secret, challenge + b"!", ATTACH))
    assert not proves(
        attached, attached_proof(secret, nonce, challenge + b"!", ATTACHED)
    )
    assert not proves(attached, attach)


def test_a_proof_is_of_what_is_said() -> None:
    proof = attached_proof("s", b"n", b"c", ATTACHED)

    changed = replace(ATTACHED, master_addr="evil:1")

    assert not proves(proof, attached_proof("s", b"n", b"c", changed))
    assert not proves(
        attach_proof("s", b"c", ATTACH),
        attach_proof("s", b"c", replace(ATTACH, client="x")),
    )
