"""What a node that has just started makes of tokens that it knew before."""

from types import SimpleNamespace

import pytest

from nexus.errors import TokenInDoubtError
from nexus.model.token import Principal, TokenRole
from nexus.node.network.admittance import Admittance
from nexus.node.node import Node
from nexus.node.operators import indoubt
from node.builders import Crowd, run, until

FOR_EVER_S = 1e9


def let_in(node: Node, text: str) -> Principal | None:
    """Whose token it is; TokenInDoubtError while the node cannot know."""
    tokens = node.tokens
    admittance = Admittance(node.config, lambda: tokens.known, lambda: tokens.in_doubt)
    return admittance.principal(text)


def decided(node: Node, text: str) -> bool:
    try:
        let_in(node, text)
    except TokenInDoubtError:
        return False
    return True


async def with_a_token(crowd: Crowd) -> tuple[Node, Node, str]:
    """A master, a replica that knows its token, and the token."""
    master = await crowd.node("master")
    await run(master, "create table t(v)")
    replica = await crowd.replica("replica", master)
    token, text = await master.tokens.create(TokenRole.ADMIN, "ops", lasts_s=0)
    await until(lambda: token.id in replica.tokens.known)
    assert let_in(replica, text)
    return master, replica, text


async def test_a_replica_never_takes_a_token_that_was_revoked_while_it_was_down(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indoubt, "LEAST_S", FOR_EVER_S)
    master, replica, text = await with_a_token(crowd)
    await replica.stop()
    await master.tokens.revoke(next(iter(master.tokens.known)))

    again = await crowd.node(
        "replica", "replica", replication__master_addr=master._parts.address
    )

    assert not decided(again, text)
    await until(lambda: decided(again, text))
    assert let_in(again, text) is None


async def test_a_token_is_good_again_once_the_replica_has_what_its_master_had(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indoubt, "LEAST_S", FOR_EVER_S)
    master, replica, text = await with_a_token(crowd)
    await replica.stop()

    again = await crowd.replica("replica", master)

    await until(lambda: decided(again, text))
    assert let_in(again, text)
    await master.stop()
    await until(lambda: not again.status().connected)
    assert let_in(again, text)


async def test_where_no_master_answers_what_is_known_is_good_after_a_while(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indoubt, "LEAST_S", FOR_EVER_S)
    master, replica, text = await with_a_token(crowd)
    address = master._parts.address
    await replica.stop()
    await master.stop()

    again = await crowd.node("replica", "replica", replication__master_addr=address)

    with pytest.raises(TokenInDoubtError, match="ask another node"):
        let_in(again, text)
    later = SimpleNamespace(monotonic=lambda: 2 * FOR_EVER_S)
    monkeypatch.setattr(indoubt, "time", later)
    assert let_in(again, text)


async def test_a_master_knows_at_once(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indoubt, "LEAST_S", FOR_EVER_S)
    node = await crowd.node("node")
    _, text = await node.tokens.create(TokenRole.ADMIN, "ops", lasts_s=0)
    await node.stop()

    again = await crowd.node("node")

    assert let_in(again, text)


async def test_a_revocation_that_was_received_holds_over_a_restart(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indoubt, "LEAST_S", 0.0)
    master, replica, text = await with_a_token(crowd)
    address = master._parts.address
    late = {
        "replication__master_addr": address,
        "replication__apply_delay_ms": 3_600_000,
    }
    await replica.stop()
    replica = await crowd.node("replica", "replica", **late)
    await master.tokens.revoke(next(iter(master.tokens.known)))
    await until(lambda: not replica.tokens.known)
    await replica.stop()
    await master.stop()

    again = await crowd.node("replica", "replica", **late)

    assert not again.tokens.known
    assert let_in(again, text) is None
