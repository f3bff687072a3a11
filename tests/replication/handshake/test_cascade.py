"""How a chain of replicas is spoken of."""

from nexus.replication.handshake.cascade import (
    IDS_MOST,
    UP,
    VIA,
    WAITS,
    chain,
    named,
    naming,
    upstream_of,
)


def test_ids_are_told_and_read_again_each_once() -> None:
    features = ("other", *naming(VIA, ("a", "b", "a")), *naming(WAITS, ()))

    assert features == ("other", "via=a,b")
    assert named(features, VIA) == ("a", "b")
    assert named(features, WAITS) == ()
    assert named(("via=,,",), VIA) == ()


def test_no_more_is_said_or_believed_than_a_chain_may_have() -> None:
    many = [f"n{number}" for number in range(IDS_MOST + 5)]

    assert len(named(naming(VIA, many), VIA)) == IDS_MOST
    assert len(named((VIA + ",".join(many),), VIA)) == IDS_MOST


def test_an_upstream_names_where_its_own_is() -> None:
    assert upstream_of(("via=a", f"{UP}a:1")) == "a:1"
    assert upstream_of(("via=a",)) == ""


def test_a_chain_is_told_as_a_sentence() -> None:
    assert chain(("c", "b", "a")) == "c follows b follows a"
