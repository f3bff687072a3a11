import pytest
from msgspec.structs import replace

from nexus.errors import TokenInDoubtError
from nexus.model.token import Token, TokenRole, sha256
from nexus.node.network.admittance import SECRET
from nexus.protocol.calls import Attach
from nexus.protocol.proofs import TOKEN_FEATURE, attach_proof, token_proof
from node.builders import knowing

TOKEN = Token("0123456789", "shop", TokenRole.WRITE, sha256(b"s" * 32), 1)
ATTACH = Attach(1, 1, "app", features=(TOKEN_FEATURE + TOKEN.id,), nonce=b"n")


def test_the_secret_is_an_admins() -> None:
    assert knowing("right").principal("right") is SECRET
    assert knowing("right").principal("wrong") is None
    assert knowing().principal("") is None


def test_a_token_names_itself_in_the_log() -> None:
    proven = replace(ATTACH, auth=token_proof(b"s" * 32, b"c", ATTACH))
    principal = knowing("right", TOKEN).proven(proven, b"c")
    assert principal is not None
    assert principal.who == "token shop (0123456789)"
    assert principal.role is TokenRole.WRITE


def test_a_client_proves_the_secret_or_its_token_and_nothing_else() -> None:
    plain = Attach(1, 1, "app", nonce=b"n")
    known = replace(plain, auth=attach_proof("right", b"c", plain))
    wrong = replace(ATTACH, auth=token_proof(b"x" * 32, b"c", ATTACH))
    unknown = replace(ATTACH, features=(TOKEN_FEATURE + "ffffffffff",))

    assert knowing("right").proven(known, b"c") is SECRET
    assert knowing("right").proven(known, b"d") is None
    assert knowing().proven(known, b"c") is None
    assert knowing("right", TOKEN).proven(wrong, b"c") is None
    assert knowing("right", TOKEN).proven(unknown, b"c") is None


def test_a_good_token_of_before_a_start_is_not_taken_in_doubt() -> None:
    doubting = knowing("right", TOKEN)
    doubting.in_doubt = lambda: True
    proven = replace(ATTACH, auth=token_proof(b"s" * 32, b"c", ATTACH))
    wrong = replace(ATTACH, auth=token_proof(b"x" * 32, b"c", ATTACH))

    with pytest.raises(TokenInDoubtError, match="which tokens are good"):
        doubting.proven(proven, b"c")
    assert doubting.proven(wrong, b"c") is None
    assert doubting.principal("right") is SECRET


def test_a_node_asks_where_it_is_told_to_or_tokens_exist() -> None:
    assert not knowing("right").asks
    assert knowing(require=True).asks
    assert knowing("", TOKEN).asks


def test_what_is_no_token_but_looks_like_one_is_nobodys() -> None:
    assert knowing("nexus_0", TOKEN).principal("nexus_0") is None
