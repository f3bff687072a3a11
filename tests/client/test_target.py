"""The address of a cluster says whom to ask, and what is wrong with it."""

import ssl

import pytest

from certificates import Office
from nexus.client.target import ReadFrom, Target, read_target, split_host
from nexus.client.trust import Trust
from nexus.errors import RequestError
from nexus.model.secret import Secret


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("nexus://a:1", Target(("a:1",))),
        (
            "nexus://a,b:2,[::1]:3,[::1]",
            Target(("a:15475", "b:2", "[::1]:3", "[::1]:15475")),
        ),
        ("nexus://:s%40@a:1", Target(("a:1",), Secret("s@"))),
        ("nexus://[a:1,b:2]", Target(("a:1", "b:2"))),
        ("nexus://[[::1]:3,b]/?timeout=2", Target(("[::1]:3", "b:15475"), timeout_s=2)),
        ("nexus://[::1]:3,[::2]", Target(("[::1]:3", "[::2]:15475"))),
        (
            "nexus://:s@[a:1,b]/orders",
            Target(("a:1", "b:15475"), Secret("s"), database="orders"),
        ),
        ("nexus://a:1/orders", Target(("a:1",), database="orders")),
        ("nexus://a:1/?read=nearest", Target(("a:1",), read=ReadFrom.NEAREST)),
        (
            "nexus://a:1?timeout=2.5&read=replica",
            Target(("a:1",), read=ReadFrom.REPLICA, timeout_s=2.5),
        ),
    ],
)
def test_a_url_names_nodes_and_how_to_use_them(url: str, target: Target) -> None:
    assert read_target(url) == target


def test_what_is_given_beside_it_goes_before() -> None:
    target = read_target("nexus://:old@a:1?timeout=9", timeout_s=1.0, secret="new")

    assert (target.secret, target.timeout_s) == ("new", 1.0)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://a:1", "begins with nexus://"),
        ("nexus://", "begins with nexus://"),
        ("nexus://,", "no address in it"),
        ("nexus://a:0", "a:0 is no HOST:PORT"),
        ("nexus://a:70000", "no HOST:PORT"),
        ("nexus://:1x", "no HOST:PORT"),
        ("nexus://[::1", "no HOST:PORT"),
        ("nexus://a[::1]:7", "no HOST:PORT"),
        ("nexus://a:1/main/t", "/main/t is no name of a database"),
        ("nexus://a:1?read=all", "read=all is none of"),
        ("nexus://a:1?timeout=soon", "no number of seconds"),
        ("nexus://a:1?timeout=inf", "no number of seconds"),
        ("nexus://a:1?timeout=0", "no number of seconds"),
    ],
)
def test_what_is_wrong_with_a_url_is_named(url: str, why: str) -> None:
    with pytest.raises(RequestError, match=why.replace("?", r"\?")):
        read_target(url)


@pytest.mark.parametrize(
    "url", ["nexus://:half/other@a", "nexus://me:half/other@a", "nexus://:half?other@a"]
)
def test_nothing_of_a_secret_is_shown_that_the_url_cuts_in_two(url: str) -> None:
    with pytest.raises(RequestError, match="as %2F") as caught:
        read_target(url)

    assert "half" not in str(caught.value)
    assert "other" not in str(caught.value)


def test_hosts_and_ports_are_told_apart() -> None:
    assert split_host("a:1") == ("a", 1)
    assert split_host("[::1]:2") == ("::1", 2)


def test_a_url_says_how_tls_is_spoken(office: Office) -> None:
    mine = office.client()
    files = f"ca={office.ca}&cert={mine.cert}&key={mine.key}"

    assert read_target("nexus://a").tls is None
    assert read_target("nexus://a?tls=off").tls is None
    for url in ("nexus://a?tls=on", f"nexus://a?{files}&read=nearest"):
        assert isinstance(read_target(url).tls, ssl.SSLContext)
    given = read_target("nexus://a?tls=off", trust=Trust(tls=True)).tls
    assert isinstance(given, ssl.SSLContext)
    with pytest.raises(RequestError, match="tls=1 is neither tls=on nor tls=off"):
        read_target("nexus://a?tls=1")
