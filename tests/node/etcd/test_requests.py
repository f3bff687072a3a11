"""An etcd that does not answer is told to the leadership, and logged once."""

from collections.abc import Callable

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch
from nexus.node.etcd.client import EtcdClient, EtcdSettings, LeaderValue
from nexus.node.etcd.requests import KeyRequests, Request
from nexus.replication.etcd.effects import (
    ChangeList,
    Follow,
    GrantLease,
    KeyEffects,
    Leave,
    ReadKeys,
    RenewLease,
    RevokeLease,
    TakeKey,
)
from nexus.replication.etcd.keys import LeaderKey, SyncedKey
from nexus.replication.etcd.leadership import Leadership
from nexus.replication.etcd.stages import LeadershipSettings
from node.builders import until
from node.etcd.test_client import NOBODY

A = NodeId("a")
LISTED = SyncedKey(nodes=(A,), revision=5)


def requests(take: Callable[[KeyEffects], None]) -> tuple[KeyRequests, EtcdClient]:
    """They go to an etcd that nobody can reach."""
    client = EtcdClient(EtcdSettings(endpoints=(NOBODY,), prefix="/x", timeout_s=1.0))
    settings = LeadershipSettings(
        node_id=A, ttl_s=4, dead_after_ms=600, poll_ms=200, quorum=2
    )
    machine = Leadership(settings, Epoch(0))
    value = LeaderValue(A, "a:1")
    return (
        KeyRequests(client, machine, value, take=take, is_whole=lambda: True),
        client,
    )


async def test_each_request_without_an_answer_ends_as_the_leadership_needs_it() -> None:
    taken: list[KeyEffects] = []
    asking, client = requests(taken.append)
    leader = LeaderKey(node_id=A, address="a:1", lease_id=1, revision=9)
    all_of_them: list[Request] = [
        ReadKeys(),
        RenewLease(1),
        RevokeLease(1),
        TakeKey(1, LISTED),
        ChangeList(leader, LISTED, (A,)),
    ]

    for request in all_of_them:
        asking.ask(request)
    await until(lambda: len(taken) == len(all_of_them))

    assert taken == [()] * len(all_of_them)
    await client.close()


async def test_without_a_lease_the_node_is_told_to_follow_on() -> None:
    taken: list[KeyEffects] = []
    asking, client = requests(taken.append)
    machine = asking.leadership
    keys = type(machine.keys)(synced=LISTED)
    assert machine.keys_seen(keys, 0, able=True) == (Leave(),)
    machine.left(Epoch(0))

    asking.ask(GrantLease(4))
    await until(lambda: taken)

    assert taken[0][-1] == Follow("")
    await client.close()


async def test_requests_that_are_cancelled_tell_nothing() -> None:
    taken: list[KeyEffects] = []
    asking, client = requests(taken.append)

    asking.ask(ReadKeys())
    await asking.end()

    assert taken == []
    await client.close()
