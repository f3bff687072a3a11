"""One connection: what is asked is answered, or the connection is lost; never both."""

import socket

import pytest

from client.scripted import ATTACHED, ScriptedNode
from nexus.client import link as link_module
from nexus.client.link import Link, LinkLostError
from nexus.errors import ForkedError, HandshakeRefusedError
from nexus.protocol.calls import Done, Execute, Failed, Query, Recall, Rows
from nexus.protocol.messages import (
    Challenge,
    Error,
    ErrorCode,
    Message,
    Ping,
    Pong,
)
from node.builders import in_a_child

ASKED = Execute(1, (Query("select 1"),))


def silence(_: Message) -> list[Message]:
    return []


def opened(node: ScriptedNode, secret: str = "") -> Link:
    return Link.open(node.address, secret, timeout_s=60)


def test_answers_are_told_apart_by_their_requests() -> None:
    rows = Rows(2, 0, ("a",), [(1,)])

    def answering(message: Message) -> list[Message]:
        return [rows, Done(9), Done(1), Done(2)] if message == ASKED else []

    with ScriptedNode(answering) as node:
        link = opened(node)
        link.ask(2, Recall(2, "x"))
        link.ask(1, ASKED)

        assert link.answer(1) == Done(1)
        assert link.answer(2) == rows
        assert link.answer(2) == Done(2)
        link.close()


def test_a_node_that_closes_is_lost() -> None:
    with ScriptedNode(lambda _: None) as node:
        link = opened(node)
        link.ask(1, ASKED)

        with pytest.raises(LinkLostError, match="closed the connection"):
            link.answer(1)
        with pytest.raises(LinkLostError):
            link.ask(2, ASKED)
        link.cancel(1)
        assert link.is_lost


def test_a_child_after_fork_says_nothing_over_its_parents_connection() -> None:
    with ScriptedNode(lambda _: [Done(1)]) as node:
        link = opened(node)

        def ask() -> None:
            link.cancel(1)
            link.ask(1, ASKED)

        assert in_a_child(ask) == ForkedError.__name__
        assert in_a_child(link.close) == "nothing"
        link.ask(1, ASKED)
        assert link.answer(1) == Done(1)
        assert node.heard == [ASKED]
        link.close()


def test_a_node_that_is_stopping_is_lost() -> None:
    with ScriptedNode(lambda _: [Error(ErrorCode.STOPPING, "bye")]) as node:
        link = opened(node)
        link.ask(1, ASKED)

        with pytest.raises(LinkLostError, match="bye"):
            link.answer(1)


def test_a_node_that_refuses_for_good_says_so() -> None:
    refusal = Error(ErrorCode.CLUSTER, "another cluster")
    with (
        ScriptedNode(silence, refusal) as node,
        pytest.raises(HandshakeRefusedError, match="another cluster") as caught,
    ):
        opened(node)
    assert caught.value.reason == ErrorCode.CLUSTER


def test_a_node_that_answers_something_else_is_refused() -> None:
    with (
        ScriptedNode(silence, Pong(1)) as node,
        pytest.raises(HandshakeRefusedError, match="answered Attach with Pong"),
    ):
        opened(node)


def test_a_node_that_cannot_prove_the_secret_is_refused() -> None:
    with (
        ScriptedNode(silence, ATTACHED) as node,
        pytest.raises(HandshakeRefusedError, match="does not know"),
    ):
        opened(node, "secret")


def test_a_node_that_asks_for_proofs_for_ever_is_refused() -> None:
    with (
        ScriptedNode(silence, Challenge(b"n")) as node,
        pytest.raises(HandshakeRefusedError, match="with Challenge"),
    ):
        opened(node, "secret")


def test_a_node_that_talks_nonsense_is_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        client = socket.create_connection((host, port))
        peer, _ = server.accept()
        link = Link("nonsense", client)
        peer.sendall(b"hello, who is there?\r\n")
        link.ask(1, ASKED)

        with pytest.raises(LinkLostError, match="not of this protocol"):
            link.answer(1)
        peer.close()


def test_nobody_at_an_address_is_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(LinkLostError, match="refused"):
        Link.open(f"127.0.0.1:{port}", "", timeout_s=60)


def test_a_node_that_never_answers_attach_is_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(LinkLostError, match="silent"):
            Link.open(f"127.0.0.1:{port}", "", timeout_s=0.05)


def test_a_silent_node_is_asked_whether_it_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "PING_EVERY_S", 0.02)
    pings: list[Message] = []

    def answering(message: Message) -> list[Message]:
        if isinstance(message, Ping):
            pings.append(message)
            return [Done(1)] if len(pings) > 3 else [Pong(0)]
        return []

    with ScriptedNode(answering) as node:
        link = opened(node)
        link.ask(1, ASKED)
        assert link.answer(1) == Done(1)
        link.close()
    assert len(pings) == 4


def test_a_node_that_does_not_even_answer_pings_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "PING_EVERY_S", 0.02)
    monkeypatch.setattr(link_module, "DEAD_AFTER_S", 0.1)
    with ScriptedNode(silence) as node:
        link = opened(node)
        link.ask(1, ASKED)

        with pytest.raises(LinkLostError, match="silent for"):
            link.answer(1)


def test_what_is_forgotten_is_cancelled_and_not_heard() -> None:
    def answering(message: Message) -> list[Message]:
        return [Failed(1, "sql", "interrupted"), Done(2)] if message != ASKED else []

    with ScriptedNode(answering) as node:
        link = opened(node)
        link.ask(1, ASKED)
        link.forget(1)
        link.forget(1)
        link.ask(2, Recall(2, "x"))

        assert link.answer(2) == Done(2)
        link.close()
