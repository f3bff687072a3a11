"""A node's URL is taken apart, unless this one cannot speak as it says."""

import pytest

from nexus.api.nodeurls import NodeUrl, read_node_url


def test_a_url_gives_address_host_and_path() -> None:
    plain = read_node_url("http://a:1/databases/x/", speaks_tls=False)

    assert plain == NodeUrl(("a", 1), "a:1", "/databases/x")
    assert read_node_url("http://[::1]", speaks_tls=False) == NodeUrl(
        ("::1", 80), "[::1]", ""
    )
    assert read_node_url("https://a", speaks_tls=True).address == ("a", 443)


@pytest.mark.parametrize(
    "url", ["", "a:1", "ftp://a:1", "http://", "http://a:port", "http://[::1"]
)
def test_what_is_no_url_of_a_node_is_named(url: str) -> None:
    with pytest.raises(ValueError, match="is no address such as"):
        read_node_url(url, speaks_tls=False)


def test_a_node_that_speaks_tls_is_not_asked_plainly() -> None:
    with pytest.raises(ValueError, match="this node speaks no TLS"):
        read_node_url("https://a", speaks_tls=False)
    assert read_node_url("http://a:1", speaks_tls=True).address == ("a", 1)
