"""What a replica tells clients."""

from nexus.errors import NoMasterError, ReadOnlyReplicaError
from nexus.node.roles.referral import no_master, referral


def test_a_write_is_referred_to_the_master_that_is_followed() -> None:
    error = referral("http://m:1", "m:2")

    assert isinstance(error, ReadOnlyReplicaError)
    assert error.master_url == "http://m:1"
    assert "nexus://m:2" in str(referral("", "m:2"))


def test_where_nobody_is_followed_there_is_no_master_to_name() -> None:
    assert isinstance(no_master(), NoMasterError)
