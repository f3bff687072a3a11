"""A node's URL is taken apart, unless the secret would leave by another scheme."""

import pytest

from nexus.api.nodeurls import NodeUrl, read_node_url


def test_a_url_gives_address_host_and_path() -> None:
    plain = read_node_url("http://a:1/databases/x/", "http")

    assert plain == NodeUrl(("a", 1), "a:1", "/databases/x")
    assert read_node_url("http://[::1]", "http") == NodeUrl(("::1", 80), "[::1]", "")
    assert read_node_url("https://a", "https").address == ("a", 443)


@pytest.mark.parametrize(
    "url", ["", "a:1", "ftp://a:1", "http://", "http://a:port", "http://[::1"]
)
def test_what_is_no_url_of_a_node_is_named(url: str) -> None:
    with pytest.raises(ValueError, match="is no address such as"):
        read_node_url(url, "http")


@pytest.mark.parametrize(
    ("url", "own"), [("http://a:1", "https"), ("https://a", "http")]
)
def test_a_node_of_another_scheme_is_not_asked(url: str, own: str) -> None:
    with pytest.raises(ValueError, match=f"this node speaks {own}"):
        read_node_url(url, own)
