"""A replica's own upstream is asked, one question at a time, and never for long."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from e2e.cluster import free_port
from nexus.model.position import EpochHistory, Offset
from nexus.node.network.security import TransportSecurity
from nexus.node.roles.homecoming import Homecoming
from nexus.protocol.messages import Hello, Welcome
from nexus.replication.handshake.introduction import hello_of
from nexus.replication.settings import Identity
from node.builders import Crowd, address_of, settings, until


class Asks:
    """The machine of a replica that wants to know at each tick, and its homing."""

    cluster_id, epoch, offset = "cluster", 1, Offset(0)

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked = 0
        self.replies: list[Any] = []
        self.homing = self

    def due(self, _: int) -> str:
        self.asked += 1
        return self.address

    def hello_at(self, offset: Offset) -> Hello:
        identity = Identity(node_id="r", cluster_id="", address="r:1")  # type: ignore[arg-type]  # a NodeId by name
        return hello_of(identity, EpochHistory(), offset, epoch=0)  # type: ignore[arg-type]  # an Epoch by number

    def answered(self, reply: Any, **_: Any) -> tuple[()]:
        self.replies.append(reply)
        return ()


def asking(directory: Path, asks: Asks) -> tuple[Homecoming, Any, list[Any]]:
    taken: list[Any] = []
    following = SimpleNamespace(machine=asks, take=taken.append)
    return (
        Homecoming(TransportSecurity.of(settings(directory)), timeout_s=60),
        following,
        taken,
    )


async def test_what_it_answers_to_a_hello_decides(crowd: Crowd, tmp_path: Path) -> None:
    master = await crowd.node("master")
    asks = Asks(address_of(master))
    homecoming, following, taken = asking(tmp_path, asks)

    homecoming.tick(following)
    homecoming.tick(following)
    await until(lambda: taken)

    assert asks.asked == 1, "one question at a time"
    assert isinstance(asks.replies[0], Welcome)
    await until(lambda: not any(one.connected_seconds for one in master.replicas()))


async def test_who_cannot_be_reached_has_given_no_answer(tmp_path: Path) -> None:
    asks = Asks(f"127.0.0.1:{free_port()}")
    homecoming, following, taken = asking(tmp_path, asks)

    homecoming.tick(following)
    await until(lambda: taken)

    assert asks.replies == [None]


async def test_an_answer_to_who_has_become_a_voter_meanwhile_leads_nowhere(
    tmp_path: Path,
) -> None:
    asks = Asks(f"127.0.0.1:{free_port()}")
    homecoming, following, taken = asking(tmp_path, asks)

    homecoming.tick(following)
    following.machine.homing = None
    assert homecoming._asking is not None
    await homecoming._asking

    assert (asks.asked, asks.replies, taken) == (1, [], [])


async def test_a_replica_without_a_stand_in_asks_nobody(tmp_path: Path) -> None:
    homecoming, following, taken = asking(tmp_path, Asks("nowhere:1"))
    following.machine.homing = None

    homecoming.tick(following)
    homecoming.stop()

    assert taken == []
