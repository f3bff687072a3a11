"""A witness lends its log."""

from nexus.model.cluster import NodeId
from nexus.model.position import Offset
from nexus.protocol.messages import Plan, Welcome
from nexus.replication.effects import Close, Peer, Send, Stream
from nexus.replication.members.lending import Lending
from nexus.replication.settings import FETCHES, Identity, LogExtent, MasterSettings
from replication.examples import ONE_REIGN, hello

IDENTITY = Identity(node_id=NodeId("w"), cluster_id="cluster", address="w")
LOG = LogExtent(Offset(1), Offset(9))


def test_a_candidate_is_streamed_what_it_lacks() -> None:
    lending = Lending(IDENTITY, MasterSettings())
    asks = hello(4, features=(FETCHES,))

    effects = lending.lend(Peer("1"), asks, ONE_REIGN, LOG, 0)

    welcome, stream = effects
    assert lending.wanted(asks)
    assert not lending.wanted(hello(4))
    assert isinstance(welcome, Send)
    assert isinstance(welcome.message, Welcome)
    assert welcome.message.plan is Plan.STREAM
    assert stream == Stream(Peer("1"), Offset(5), Offset(10), Offset(0))


def test_a_loan_ends_when_the_log_changes() -> None:
    lending = Lending(IDENTITY, MasterSettings())
    lending.lend(Peer("1"), hello(4), ONE_REIGN, LOG, 0)

    ended = lending.end("the log grows")

    assert [type(effect) for effect in ended] == [Close]
    assert lending.serves(Peer("1")) is None
    assert lending.tick(1_000) == ()


def test_a_second_candidate_is_lent_what_the_log_has_by_then() -> None:
    lending = Lending(IDENTITY, MasterSettings())
    lending.lend(Peer("1"), hello(4), ONE_REIGN, LOG, 0)

    longer = LogExtent(Offset(1), Offset(12))
    effects = lending.lend(Peer("2"), hello(4, node_id="c"), ONE_REIGN, longer, 10)

    streams = [effect for effect in effects if isinstance(effect, Stream)]
    assert (Peer("2"), 13) in [(stream.peer, stream.stop) for stream in streams]
    assert lending.serves(Peer("1")) is lending.serves(Peer("2"))
    assert lending.serves(Peer("1")) is not None
