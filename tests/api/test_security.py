import pytest

from nexus.api.refusals import CrossOriginError, UnauthorisedError
from nexus.api.security import Gate
from nexus.config import Config
from nexus.config.values import Secret


def gate_on(http_addr: str, secret: str) -> Gate:
    return Gate(Config(http_addr=http_addr, cluster_secret=Secret(secret)))


GUARDED = gate_on("0.0.0.0:1", "geheim")


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer gehei",
        b"Bearer geheim1",
        b"Basic geheim",
        b"geheim",
        b"Bearer \xff",
    ],
)
def test_beyond_loopback_a_call_needs_the_secret(given: bytes) -> None:
    with pytest.raises(UnauthorisedError):
        GUARDED.check({b"authorization": given})
    with pytest.raises(UnauthorisedError):
        GUARDED.check({})


@pytest.mark.parametrize("given", [b"Bearer geheim", b"bearer  geheim "])
def test_the_secret_opens(given: bytes) -> None:
    GUARDED.check({b"authorization": given})


def test_public_calls_need_no_secret() -> None:
    GUARDED.check({}, public=True)


@pytest.mark.parametrize(
    ("address", "secret"), [("127.0.0.1:1", "x"), ("0.0.0.0:1", "")]
)
def test_on_loopback_or_without_a_secret_nothing_is_asked(
    address: str, secret: str
) -> None:
    gate_on(address, secret).check({})


@pytest.mark.parametrize(
    "origin",
    [b"http://evil.example", b"null", b"http://a:2", b"\xff", b"http://[", b""],
)
def test_a_page_of_another_site_is_refused_even_public_calls(origin: bytes) -> None:
    for public in (False, True):
        with pytest.raises(CrossOriginError):
            gate_on("127.0.0.1:1", "").check(
                {b"origin": origin, b"host": b"a:1"}, public=public
            )


def test_a_page_of_this_node_may_call() -> None:
    gate_on("127.0.0.1:1", "").check({b"origin": b"http://A:1", b"host": b"a:1"})
