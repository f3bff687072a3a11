"""Tokens of a cluster: made on the master, known on every node."""

import time

import pytest

from nexus.errors import ClusterChangeError, NotFoundError, WrongRoleError
from nexus.model.token import TokenRole
from nexus.node.node import Node
from nexus.node.operators import tokens as module
from node.builders import Crowd, run, until

SECRET = "right"


async def admin(node: Node) -> str:
    return (await node.tokens.create(TokenRole.ADMIN, "ops", lasts_s=0))[0].id


async def test_a_token_is_known_on_every_node_and_a_revoked_one_on_none(
    crowd: Crowd,
) -> None:
    master = await crowd.node("master")
    await run(master, "create table t(v)")
    replica = await crowd.replica("replica", master)

    token_id = await admin(master)
    await until(lambda: set(replica.tokens.known) == {token_id})
    await master.tokens.revoke(token_id)

    await until(lambda: not replica.tokens.known)
    assert not master.tokens.known


async def test_a_new_replica_has_the_tokens_with_its_snapshot(crowd: Crowd) -> None:
    master = await crowd.node("master")
    token_id = await admin(master)
    await run(master, "create table t(v)")

    replica = await crowd.replica("replica", master)

    await until(lambda: set(replica.tokens.known) == {token_id})


async def test_a_token_survives_a_restart(crowd: Crowd) -> None:
    node = await crowd.node("node")
    token_id = await admin(node)
    await node.stop()
    assert not node.tokens.known

    again = await crowd.node("node")

    assert set(again.tokens.known) == {token_id}


async def test_a_rotated_token_is_good_for_its_grace(crowd: Crowd) -> None:
    node = await crowd.node("node")
    old_id = await admin(node)

    new, text = await node.tokens.rotate(old_id, grace_s=60)

    now_us = time.time_ns() // 1000
    assert (new.role, new.name) == (TokenRole.ADMIN, "ops")
    assert text.startswith(f"nexus_{new.id}_")
    assert now_us < node.tokens.known[old_id].expires_us <= now_us + 60_000_000

    await node.tokens.rotate(new.id, grace_s=0)
    assert new.id not in node.tokens.known


async def test_a_token_that_expires_is_rotated_to_one_that_lasts_as_long(
    crowd: Crowd,
) -> None:
    node = await crowd.node("node")
    await admin(node)
    old, _ = await node.tokens.create(TokenRole.READ, "", lasts_s=60)

    new, _ = await node.tokens.rotate(old.id, grace_s=3600)

    assert new.expires_us - new.created_us == 60_000_000
    assert node.tokens.known[old.id].expires_us == old.expires_us


async def test_without_a_secret_an_admin_is_always_left(crowd: Crowd) -> None:
    node = await crowd.node("node")
    with pytest.raises(ClusterChangeError, match="no cluster secret"):
        await node.tokens.create(TokenRole.READ, "", lasts_s=0)
    token_id = await admin(node)
    reader, _ = await node.tokens.create(TokenRole.READ, "", lasts_s=0)
    with pytest.raises(ClusterChangeError, match="no cluster secret"):
        await node.tokens.revoke(token_id)

    await node.tokens.revoke(reader.id)
    await node.tokens.revoke(token_id)

    assert not node.tokens.known


async def test_with_a_secret_any_token_may_be_the_only_one(crowd: Crowd) -> None:
    node = await crowd.node("node", cluster_secret=SECRET)
    token, _ = await node.tokens.create(TokenRole.READ, "", lasts_s=0)
    assert set(node.tokens.known) == {token.id}


async def test_a_replica_makes_no_tokens(crowd: Crowd) -> None:
    master = await crowd.node("master")
    await run(master, "create table t(v)")
    replica = await crowd.replica("replica", master)
    for change in (
        replica.tokens.create(TokenRole.ADMIN, "", lasts_s=0),
        replica.tokens.revoke("x"),
        replica.tokens.rotate("x", grace_s=0),
    ):
        with pytest.raises(WrongRoleError, match="master's"):
            await change


async def test_what_is_not_there_cannot_be_revoked(crowd: Crowd) -> None:
    node = await crowd.node("node")
    with pytest.raises(NotFoundError, match="'x'"):
        await node.tokens.revoke("x")


async def test_there_is_a_most_of_tokens(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_TOKENS", 1)
    node = await crowd.node("node")
    await admin(node)
    with pytest.raises(ClusterChangeError, match="1 tokens already"):
        await admin(node)


async def test_a_replica_of_an_older_release_keeps_tokens_from_being_made(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = await crowd.node("master")
    await run(master, "create table t(v)")
    replica = await crowd.replica("replica", master)
    monkeypatch.setattr(module, "TOKENS", "what that release does not know")
    with pytest.raises(ClusterChangeError, match=f"{replica.node_id} would stop"):
        await admin(master)


async def test_a_paused_replica_refuses_a_revoked_token(crowd: Crowd) -> None:
    master = await crowd.node("master")
    await run(master, "create table t(v)")
    replica = await crowd.replica("replica", master)
    token_id = await admin(master)
    await until(lambda: set(replica.tokens.known) == {token_id})
    replica.pause(None)
    await until(lambda: replica.status().paused)
    applied = replica.status().applied_offset

    await master.tokens.revoke(token_id)

    await until(lambda: not replica.tokens.known)
    assert replica.status().applied_offset == applied
