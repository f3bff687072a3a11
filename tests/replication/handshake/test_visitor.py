from typing import Any

import pytest

from nexus.model.cluster import NodeId
from nexus.model.position import Epoch, HistoryId, Offset, Reign
from nexus.protocol.messages import ErrorCode
from nexus.replication.handshake.visitor import answer_to
from replication.examples import ONE_REIGN, PEER, REPLICA_NODE, hello

MASTER: dict[str, Any] = {
    "node_id": "c",
    "address": "c:1",
    "master_addr": "c:1",
    "epoch": Epoch(3),
}


def answered(**changes: Any) -> tuple[ErrorCode, bool]:
    said = hello(5, **(MASTER | changes))
    close, is_news = answer_to(PEER, said, REPLICA_NODE, Epoch(2), "a:1")
    assert close.peer == PEER
    return close.code, is_news


def test_a_master_of_a_higher_epoch_is_news() -> None:
    assert answered() == (ErrorCode.NOT_MASTER, True)


@pytest.mark.parametrize(
    "changes", [{"epoch": Epoch(2)}, {"cluster_id": ""}, {"master_addr": "d:1"}]
)
def test_who_is_no_such_master_is_told_whom_to_ask(changes: dict[str, Any]) -> None:
    assert answered(**changes) == (ErrorCode.NOT_MASTER, False)


def test_who_stood_alone_is_told_whom_to_ask_so_that_it_believes_it() -> None:
    own = ONE_REIGN.truncated_after(Offset(5))
    alone = own.begun(Reign(Epoch(9), HistoryId("d9"), "d", Offset(6), 0, "promote"))
    said = hello(6, alone, node_id=NodeId("d"), address="d:1")

    close, is_news = answer_to(PEER, said, REPLICA_NODE, Epoch(2), "a:1")

    assert (close.epoch, close.master_addr, is_news) == (9, "a:1", False)


def test_a_visitor_of_another_cluster_is_told_so_and_is_no_news() -> None:
    assert answered(cluster_id="other") == (ErrorCode.CLUSTER, False)
