"""How each kind of value is written by hand."""

import pytest

from nexus.config.values import (
    is_loopback,
    parse_duration,
    parse_size,
    split_address,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("1.5 KiB", 1536),
        ("10gib", 10 << 30),
        ("2MB", 2000000),
    ],
)
def test_a_size_reads_as_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1", "1 QiB", "1e9", "1..2KB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("90 m", 5_400), ("2h", 7_200), ("7d", 604_800), ("1w", 604_800)],
)
def test_a_duration_reads_as_seconds(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1.5h", "7 days", "1y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time like"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("a:1", ("a", 1)),
        (":1", ("", 1)),
        ("a", ("a", 15475)),
        ("[::1]:9", ("::1", 9)),
        ("[::1]", ("::1", 15475)),
    ],
)
def test_an_address_splits_into_host_and_port(
    address: str, parts: tuple[str, int]
) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address",
    [
        *("a:b", "a:65536", "a:-1", "a:", "::1:9", "http://a:1", "a b:1", "a:²"),
        *("..:1", "a..b:1", "x" * 64 + ":1", "a\0:1", "a\n:1", "\x7f:1", "\u2028:1"),
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"port|brackets|host"):
        split_address(address)


def test_only_what_this_machine_alone_can_reach_is_loopback() -> None:
    assert is_loopback("localhost:1")
    assert is_loopback("[::1]:1")
    assert not is_loopback("example.org:1")
    assert not is_loopback(":1")
