import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.model.token import (
    Principal,
    Token,
    TokenRole,
    read_token,
    sha256,
    token_text,
)


@given(st.binary(min_size=32, max_size=32))
def test_a_token_is_read_as_it_was_written(secret: bytes) -> None:
    text = token_text("0123456789", secret)

    assert text.startswith("nexus_0123456789_")
    assert read_token(text) == ("0123456789", secret)


@given(st.text() | st.from_regex(r"nexus_[0-9a-f]{9,11}_[\w-]{42,44}", fullmatch=True))
def test_what_is_no_token_is_read_as_none(text: str) -> None:
    found = read_token(text)
    assert found is None or (len(found[0]), len(found[1])) == (10, 32)


@pytest.mark.parametrize("end", ["\n", " ", "="])
def test_nothing_may_follow_a_token(end: str) -> None:
    assert read_token(token_text("0123456789", b"x" * 32) + end) is None


def test_each_role_covers_those_before_it() -> None:
    covers = [
        [role.covers(needed) for needed in (None, *TokenRole)] for role in TokenRole
    ]
    assert covers == [
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]


def test_a_token_expires_when_its_time_is_over() -> None:
    token = Token("a", "", TokenRole.READ, sha256(b""), 1)
    assert not token.is_expired(1 << 62)
    dated = Token("a", "", TokenRole.READ, sha256(b""), 1, 5)
    assert [dated.is_expired(now) for now in (4, 5, 6)] == [False, True, True]


def test_on_behalf_of_another_one_may_do_what_both_may() -> None:
    admin = Principal(TokenRole.ADMIN, "n1")
    reader = Principal(TokenRole.READ, "n2")
    assert admin.capped(TokenRole.WRITE, "x") == Principal(TokenRole.WRITE, "x by n1")
    assert reader.capped(TokenRole.WRITE, "x").role is TokenRole.READ
