"""Addresses that say "every one" become the one that their owner was seen at."""

import pytest

from nexus.node.network.addresses import reachable, reachable_url


@pytest.mark.parametrize(
    ("address", "seen", "found"),
    [
        ("0.0.0.0:15475", "10.0.0.7", "10.0.0.7:15475"),
        ("[::]:15475", "fd00::7", "[fd00::7]:15475"),
        (":15475", "10.0.0.7", "10.0.0.7:15475"),
        ("10.1.1.1:15475", "10.0.0.7", "10.1.1.1:15475"),
        ("db.example:15475", "10.0.0.7", "db.example:15475"),
        ("", "10.0.0.7", ""),
        ("no [address", "10.0.0.7", "no [address"),
    ],
)
def test_an_address_of_every_host_gets_the_host_that_was_seen(
    address: str, seen: str, found: str
) -> None:
    assert reachable(address, seen) == found


def test_a_url_is_treated_like_its_address() -> None:
    assert reachable_url("http://0.0.0.0:80", "10.0.0.7") == "http://10.0.0.7:80"
    assert reachable_url("http://10.1.1.1:80", "10.0.0.7") == "http://10.1.1.1:80"
    assert reachable_url("https://[::]:80/x", "fd00::7") == "https://[fd00::7]:80/x"
    assert reachable_url("", "10.0.0.7") == ""
