"""Whom a replica refers a write to."""

import pytest

from nexus.errors import NoMasterError, ReadOnlyReplicaError
from nexus.node.referral import referral


def test_a_write_is_referred_to_the_master_that_is_followed() -> None:
    error = referral("http://m:1", known=True)

    assert isinstance(error, ReadOnlyReplicaError)
    assert error.master_url == "http://m:1"


@pytest.mark.parametrize(("url", "known"), [("", True), ("http://m:1", False)])
def test_where_nobody_is_followed_there_is_no_master_to_name(
    url: str, *, known: bool
) -> None:
    assert isinstance(referral(url, known=known), NoMasterError)
