"""Named databases beside the main one: a log each, and the main one's master."""

import asyncio
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.testing import capture_logs

from nexus.errors import ClusterChangeError, DiskFullError, StorageError, WrongRoleError
from nexus.model.cluster import LinkState, Role
from nexus.model.token import TokenRole
from nexus.node.etcd.holding import Keyholding
from nexus.node.node import Node
from nexus.node.operators import guests
from nexus.node.roles.following import Following
from nexus.node.roles.reigning import Reigning
from nexus.node.transactions import TransactionManager
from nexus.protocol.calls import Attached
from nexus.protocol.databases import features_for
from nexus.protocol.messages import Error
from node.builders import HEARTBEAT_MS, Crowd, address_of, count, run, settings, until
from node.calling import ATTACH, connected
from node.electing import handed_over, master_among, voters, written
from node.keepers import Keepers, etcd, holding, keepers, listed, opened

__all__ = ["etcd", "keepers"]

NAMES = "orders,users"


def named(nodes: list[Node], name: str = "orders") -> list[Node]:
    return [node.named[name] for node in nodes]


async def in_line(nodes: list[Node], name: str = "orders") -> Node:
    """The main database's master, once it is the named one's too."""
    while True:
        master = await master_among(nodes)
        if await master_among(named(nodes, name)) is master.named[name]:
            return master
        await asyncio.sleep(0.02)


async def followed(nodes: list[Node]) -> Node:
    """The master of both, once all follow it: no election is under way any more."""
    while True:
        master = await in_line(nodes)
        both = (master, master.named["orders"])
        if all(one.status().replica_count == len(nodes) - 1 for one in both):
            return master
        await asyncio.sleep(0.02)


async def test_each_database_has_rows_and_a_log_of_its_own(crowd: Crowd) -> None:
    node = await crowd.node("master", databases=NAMES)

    await run(node.named["orders"], "create table t(v)", "insert into t values (1)")
    await run(node.named["users"], "create table t(v)")

    assert await count(node.named["orders"]) == 1
    assert await count(node.named["users"]) == 0
    assert node.status().wal_offset < node.named["orders"].status().wal_offset
    assert node.named["orders"].node_id == node.node_id
    clusters = {one.status().cluster_id for one in (node, *node.named.values())}
    assert len(clusters) == 3


async def test_a_replica_follows_each_of_them(crowd: Crowd) -> None:
    master = await crowd.node("master", databases=NAMES)
    await run(master.named["users"], "create table t(v)", "insert into t values (1)")

    replica = await crowd.replica("replica", master, databases=NAMES)

    await until(lambda: replica.named["users"].status().state is LinkState.STREAMING)
    await until(
        lambda: (
            replica.named["users"].status().applied_offset
            == master.named["users"].status().wal_offset
        )
    )
    assert await count(replica.named["users"]) == 1


async def test_what_was_written_is_there_after_a_restart(crowd: Crowd) -> None:
    node = await crowd.node("master", databases=NAMES)
    await run(node.named["orders"], "create table t(v)", "insert into t values (1)")
    await node.stop()
    assert node.named == {}

    again = Node(node.config)
    await again.start()

    assert await count(again.named["orders"]) == 1
    await again.stop()


async def test_a_database_that_cannot_be_opened_leaves_nothing_running(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master", databases=NAMES)
    await node.stop()
    users = node.config.data_dir / "databases" / "users" / "nexus.db"
    users.write_bytes(b"no database at all" * 100)

    with pytest.raises(StorageError, match="users"):
        await Node(node.config).start()
    users.unlink()
    for left in users.parent.glob("*"):
        left.unlink() if left.is_file() else None
    await Node(settings(node.config.data_dir)).start()


async def test_voters_agree_on_one_master_for_all_databases(crowd: Crowd) -> None:
    nodes = await voters(crowd, databases=NAMES)

    masters = [await in_line(nodes, name) for name in ("orders", "users")]

    assert masters[0] is masters[1]
    await written(named(nodes), "create table t(v)")


async def test_a_switchover_takes_the_named_databases_along(crowd: Crowd) -> None:
    nodes = await voters(crowd, databases="orders")
    await written(named(nodes), "create table t(v)")
    master = await followed(nodes)
    heir = next(node for node in nodes if node is not master)

    await handed_over(master, heir)

    assert await in_line(nodes) is heir
    await run(heir.named["orders"], "insert into t values (1)")


async def test_a_named_database_without_space_takes_the_main_one_along(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd, databases="orders")
    await written(named(nodes), "create table t(v)")
    master = await followed(nodes)
    orders = master.named["orders"]._duties.voting()
    others = [node for node in nodes if node is not master]

    assert orders.reigning is not None
    orders.reigning._space.begins(DiskFullError("no space left"))

    await until(lambda: any(node.status().role is Role.MASTER for node in others))
    heir = await in_line(nodes)
    assert heir is not master
    await run(heir.named["orders"], "insert into t values (1)")


async def test_after_a_loss_every_database_has_the_same_new_master(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd, databases="orders")
    master = await in_line(nodes)
    await written(named(nodes), "create table t(v)")
    await written(named(nodes), "insert into t values (1)")

    await master.stop()

    left = [node for node in nodes if node is not master]
    heir = await in_line(left)
    assert await count(heir.named["orders"]) == 1


async def test_the_voters_of_the_main_database_are_the_named_ones_too(
    crowd: Crowd,
) -> None:
    nodes = await voters(crowd, databases="orders")
    master = await in_line(nodes)
    gone = next(node for node in nodes if node is not master)

    await master.remove_voter(gone.node_id)

    def voting() -> int:
        return sum(one.voter for one in master.named["orders"].members().members)

    def follows() -> bool:
        members = master.members().members
        return any(one.id == gone.node_id and one.connected for one in members)

    await until(lambda: voting() == 2)
    await until(follows)
    await master.add_voter(gone.node_id, "")
    await until(lambda: voting() == 3)
    await master.set_auto_failover(enabled=False)
    await until(lambda: not master.named["orders"].members().auto_failover)


async def test_a_promotion_by_hand_promotes_the_named_databases(crowd: Crowd) -> None:
    master = await crowd.node("master", databases="orders")
    replica = await crowd.replica("replica", master, databases="orders")
    await run(master.named["orders"], "create table t(v)")
    await until(
        lambda: (
            replica.named["orders"].status().applied_offset
            == master.named["orders"].status().wal_offset
        )
    )
    await master.stop()
    await until(lambda: not replica.status().connected)
    await until(lambda: not replica.named["orders"].status().connected)

    await replica.promote(force=False)

    assert replica.named["orders"].status().role is Role.MASTER
    await run(replica.named["orders"], "insert into t values (1)")


async def test_a_stop_and_a_start_at_run_time_go_for_all_of_them(crowd: Crowd) -> None:
    master = await crowd.node("master", databases="orders")
    node = await crowd.node("node", "standalone", databases="orders")

    await node.start_replication(Role.REPLICA, address_of(master))
    roles = [node.status().role, node.named["orders"].status().role]
    await node.stop_replication()
    roles += [node.status().role, node.named["orders"].status().role]

    assert roles == [Role.REPLICA, Role.REPLICA, Role.STANDALONE, Role.STANDALONE]


async def test_who_governs_a_named_database_is_told_to_ask_the_main_one(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master", databases="orders")
    guest = node.named["orders"]
    orders: list[Any] = [
        guest.promote(force=True),
        guest.switch_over("x"),
        guest.add_voter("x", ""),
        guest.remove_voter("x"),
        guest.set_auto_failover(enabled=True),
        guest.start_replication(Role.MASTER, None),
        guest.stop_replication(),
    ]

    for order in orders:
        with pytest.raises(
            WrongRoleError, match="orders has the master and the voters"
        ):
            await order


async def test_an_order_that_one_database_cannot_follow_is_told_with_its_name(
    crowd: Crowd,
) -> None:
    node = await crowd.node("master", databases=NAMES)
    tried = []

    async def order(duties: Any) -> None:
        tried.append(duties)
        if len(tried) == 1:
            raise WrongRoleError("it cannot")

    with pytest.raises(ClusterChangeError, match=r"others; orders: it cannot$"):
        await node._guests.follow(order)
    assert len(tried) == 2


def test_a_database_is_not_long_out_of_line() -> None:
    assert guests.LONGEST_BEAT_S <= 1
    assert HEARTBEAT_MS / 1000 < guests.LONGEST_BEAT_S


async def test_a_token_of_the_cluster_is_good_for_every_database(crowd: Crowd) -> None:
    node = await crowd.node("master", databases="orders")

    token, _ = await node.tokens.create(TokenRole.ADMIN, "all", lasts_s=0)

    assert set(node.named["orders"].tokens.known) == {token.id}
    assert node.named["orders"].status().wal_offset == 1


async def test_an_error_nobody_expected_ends_no_alignment_and_is_told_once(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guests, "LONGEST_BEAT_S", 0.01)
    tried: list[Any] = []

    async def fails_at_first(_: Any, named: Any) -> None:
        tried.append(named)
        if len(tried) < 5:
            raise OSError("too many open files")

    monkeypatch.setattr(guests, "_bring_in_line", fails_at_first)
    with capture_logs(processors=[merge_contextvars]) as lines:
        await crowd.node("master", databases="orders")
        await until(lambda: len(tried) > 5)

    (told,) = [line for line in lines if line["event"] == "alignment_failed"]
    assert (told["log_level"], told["database"]) == ("error", "orders")
    assert told["exc_info"]


def is_left_alone(master: Any) -> bool:
    return not any(one.connected_seconds for one in master.replicas())


async def test_every_line_of_a_named_database_names_it(crowd: Crowd) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        master = await crowd.node("master", databases="orders")
        replica = await crowd.replica("replica", master, databases="orders")
        orders = replica.named["orders"]
        await until(lambda: orders.status().state is LinkState.STREAMING)
        await replica.stop()
        for one in (master, master.named["orders"]):
            await until(partial(is_left_alone, one))
    told = {
        event: {line.get("database") for line in lines if line["event"] == event}
        for event in ("reign_began", "replica_joined", "follows", "replica_gone")
    }

    assert told == {event: {None, "orders"} for event in told}


async def test_its_threads_and_connections_know_the_database_too(crowd: Crowd) -> None:
    master = await crowd.node("master", databases="orders")
    replica = await crowd.replica("replica", master, databases="orders")
    orders = {"database": "orders"}

    found = []
    for node in (master, replica):
        for one in (node, node.named["orders"]):
            acting = one.duties.acting
            assert isinstance(acting, Reigning | Following)
            runs = (
                acting.manager.run if isinstance(acting, Reigning) else acting.on_worker
            )
            found.append(await runs(get_contextvars))

    with capture_logs() as lines:
        async with connected(master) as client:
            client.say(replace(ATTACH, features=features_for("orders")))
            await client.expect(Attached)
            client.connection.send_bytes(b"\xee" * 64)
            await client.expect(Error)

    assert found == [{}, orders, {}, orders]
    (line,) = [line for line in lines if line["event"] == "client_malformed"]
    assert line["database"] == "orders"


async def two_with_orders(keepers: Keepers) -> tuple[Node, Node, list[Node]]:
    """A master under etcd and its heir; their named databases, with a table."""
    first = await keepers.node("a", "master", databases="orders")
    second = await keepers.node("b", databases="orders")
    orders = [node.named["orders"] for node in (first, second)]
    for one in (first, orders[0]):
        await until(lambda one=one: opened(one) and len(listed(one)) == 2)  # type: ignore[misc]  # a default binds the loop's value
    await written([orders[0]], "create table t(v)")
    return first, second, orders


async def test_under_etcd_a_named_database_has_the_main_ones_master_and_maintenance(
    keepers: Keepers,
) -> None:
    first, second, orders = await two_with_orders(keepers)

    await handed_over(first, second)
    await until(lambda: opened(second) and opened(orders[1]))
    await written([orders[1]], "insert into t values (1)")
    await holding(second).set_auto_failover(enabled=False)
    await until(lambda: holding(orders[1]).rests)

    assert await count(orders[1]) == 1
    assert holding(orders[1]).heirs == frozenset()


async def test_under_etcd_a_named_database_without_space_takes_the_main_one_along(
    keepers: Keepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, orders = await two_with_orders(keepers)
    await written([orders[0]], "insert into t values (1)")

    monkeypatch.setattr(Keyholding, "lease_s", 0.2)
    reigning = holding(orders[0]).reigning
    assert reigning is not None
    run_there, full = TransactionManager.run, reigning.manager

    async def refused(manager: TransactionManager, call: Any) -> object:
        if manager is full:
            raise DiskFullError("no space left")
        return await run_there(manager, call)

    monkeypatch.setattr(TransactionManager, "run", refused)
    reigning._space.begins(DiskFullError("no space left"))

    await until(lambda: opened(second) and opened(orders[1]))
    await written([orders[1]], "insert into t values (2)")
    assert await count(orders[1]) == 2
    assert [opened(one) for one in (first, orders[0])] == [False, False]


async def test_under_etcd_each_database_survives_the_loss_of_its_master(
    keepers: Keepers,
) -> None:
    nodes = [await keepers.node("a", "master", databases="orders")]
    nodes += [await keepers.node(name, databases="orders") for name in "bc"]
    first = nodes[0]
    orders = first.named["orders"]
    ids = {node.node_id for node in nodes}
    for one in (first, orders):
        await until(lambda one=one: opened(one) and listed(one) == ids)  # type: ignore[misc]  # a default binds the loop's value
        await run(one, "create table t(v)", "insert into t values (1)")
    clusters = {one.status().cluster_id for one in (first, orders)}

    await first.stop()

    assert len(clusters) == 2
    for left in (nodes[1:], named(nodes[1:])):
        heir = await written(left, "insert into t values (2)")  # once it is aligned
        assert await count(heir) == 2
        assert heir.status().cluster_id in clusters
