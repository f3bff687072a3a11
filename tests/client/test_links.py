"""The connections of one client: kept while they suit, and no longer."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from certificates import DAY, NOW, Office
from client.scripted import ATTACHED, ScriptedNode
from nexus.client.link import Link
from nexus.client.links import Links, now_ms
from nexus.client.routing import Purpose
from nexus.client.target import ReadFrom, Target
from nexus.errors import HandshakeRefusedError, NoMasterError, StatementError
from nexus.protocol.calls import Attach, Attached
from nexus.protocol.messages import Message
from nexus.protocol.passage import TO_MASTER
from nexus.tls.contexts import client_context, server_context

REPLICA = replace(ATTACHED, role="replica")


def silence(_: Message) -> list[Message]:
    return []


def links_to(*nodes: ScriptedNode, read: ReadFrom = ReadFrom.MASTER) -> Links:
    addresses = tuple(node.address for node in nodes)
    return Links(Target(addresses, read=read, timeout_s=60))


def test_a_search_is_given_up_when_another_thread_says_so() -> None:
    with ScriptedNode(silence, REPLICA) as node:
        links = links_to(node)
        timer = threading.Timer(0.2, links.halt.set)
        timer.start()

        with pytest.raises(StatementError, match="interrupted"):
            links.find(Purpose.WRITE, now_ms() + 600_000)
        timer.join()
        links.close()


def test_after_the_end_nothing_is_looked_for() -> None:
    with ScriptedNode(silence) as node:
        links = links_to(node)
        links.close()

        with pytest.raises(StatementError, match="interrupted"):
            links.find(Purpose.WRITE, now_ms() + 600_000)
        assert node.attaches == 0


def test_a_node_that_answers_after_the_end_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ScriptedNode(silence) as node:
        links = links_to(node)
        found = []

        def opened(*given: Any, **named: Any) -> Link:
            links.close()
            found.append(Link.open(*given, **named))
            return found[0]

        monkeypatch.setattr("nexus.client.links.Link", SimpleNamespace(open=opened))
        with pytest.raises(StatementError, match="interrupted"):
            links.find(Purpose.WRITE, now_ms() + 600_000)
        assert found[0].is_lost


def soon() -> int:
    return now_ms() + 60_000


def test_a_connection_is_kept_and_shared_by_both_purposes() -> None:
    with ScriptedNode(silence) as node:
        links = links_to(node)
        link = links.find(Purpose.WRITE, soon())

        assert links.find(Purpose.WRITE, soon()) is link
        assert links.find(Purpose.READ, soon()) is link
        assert links.takes_writes(link)
        assert node.attaches == 1
        links.close()
        assert link.is_lost


def test_queries_and_writes_have_nodes_of_their_own() -> None:
    with ScriptedNode(silence) as master, ScriptedNode(silence, REPLICA) as replica:
        links = links_to(master, replica, read=ReadFrom.REPLICA)
        writes = links.find(Purpose.WRITE, soon())
        reads = links.find(Purpose.READ, soon())

        assert (writes.address, reads.address) == (master.address, replica.address)
        assert not links.takes_writes(reads)
        links.behind(reads)
        assert links.find(Purpose.READ, soon()) is writes
        links.close()


def test_a_lost_connection_is_made_anew() -> None:
    with ScriptedNode(silence) as node:
        links = links_to(node)
        links.lost(links.find(Purpose.WRITE, soon()))
        links.no_master(links.find(Purpose.WRITE, soon()))

        assert not links.find(Purpose.WRITE, soon()).is_lost
        assert node.attaches == 3
        links.close()


def test_the_nearest_is_looked_for_among_all() -> None:
    with ScriptedNode(silence) as first, ScriptedNode(silence, REPLICA) as second:
        with ScriptedNode(silence) as gone:
            pass
        links = links_to(gone, first, second, read=ReadFrom.NEAREST)
        links.find(Purpose.READ, soon())

        assert (first.attaches, second.attaches) == (1, 1)
        links.close()


def test_the_reason_of_the_last_try_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_ms = [0]
    monkeypatch.setattr("nexus.client.links.now_ms", lambda: clock_ms[0])

    def told(_: Attach) -> Message:
        clock_ms[0] = 60_000  # the time is up as it answers
        return REPLICA

    with ScriptedNode(silence, told) as replica:
        links = links_to(replica)
        with pytest.raises(NoMasterError, match="is no master just now"):
            links.find(Purpose.WRITE, 60_000)
        links.close()


@contextmanager
def http_port(*, told: bytes = b"") -> Iterator[str]:
    """The address of something that answers everybody in HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    client.recv(1 << 16)
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\na: b\r\n\r\n" + told)
                    client.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (b'{"detail": "go to port 7", "status": 400}', "speaks HTTP: go to port 7"),
        (b"<html>", "speaks HTTP: nexus:// takes a node's replication.bind_addr"),
    ],
)
def test_an_http_port_is_told_at_once(told: bytes, words: str) -> None:
    with http_port(told=told) as address:
        links = Links(Target((address,), timeout_s=600))
        with pytest.raises(HandshakeRefusedError, match=words):
            links.find(Purpose.WRITE, now_ms() + 600_000)
        links.close()


def test_an_http_port_beside_a_node_is_passed_over() -> None:
    with http_port() as address, ScriptedNode(silence) as node:
        links = Links(Target((address, node.address), timeout_s=60))

        assert links.find(Purpose.WRITE, soon()).address == node.address
        links.close()


# --- TLS ------------------------------------------------------------------------------


def links_over_tls(office: Office, *nodes: ScriptedNode) -> Links:
    addresses = tuple(node.address for node in nodes)
    context = client_context(office.nobody())
    return Links(Target(addresses, timeout_s=60, tls=context))


def test_the_other_nodes_serve_where_one_has_a_certificate_that_does_not_hold(
    office: Office,
) -> None:
    past = office.dated("past", NOW - 2 * DAY, NOW - DAY)
    expired = server_context(past, asks_everybody=False)
    good = server_context(office.node(), asks_everybody=False)
    with (
        ScriptedNode(silence, tls=expired) as bad,
        ScriptedNode(silence, tls=good) as fine,
    ):
        links = links_over_tls(office, bad, fine)

        for purpose in (Purpose.WRITE, Purpose.READ):
            assert links.find(purpose, soon()).address == fine.address
        links.close()


def test_where_no_node_can_be_trusted_that_is_told_at_once(office: Office) -> None:
    alone = server_context(office.alone(), asks_everybody=False)
    with ScriptedNode(silence, tls=alone) as one, ScriptedNode(silence) as other:
        links = links_over_tls(office, one)

        with pytest.raises(HandshakeRefusedError, match="signed by itself alone"):
            links.find(Purpose.WRITE, now_ms() + 600_000)
        links.close()
        assert other.attaches == 0


def passing(master: str) -> Callable[[Attach], Message]:
    """A replica that passes on who asks for it, to a master that answers."""
    asked: list[bool] = []

    def told(attach: Attach) -> Attached:
        here = replace(REPLICA, master_addr=master, http_url="http://replica")
        if asked and asked.pop():
            return replace(ATTACHED, http_url="http://master")
        if TO_MASTER not in attach.features:
            return here
        asked.append(True)
        return replace(here, features=(TO_MASTER,))

    return told


def test_a_master_that_is_out_of_reach_is_reached_through_its_replica() -> None:
    with ScriptedNode(silence) as gone:
        pass
    with ScriptedNode(silence, passing(gone.address)) as replica:
        links = links_to(gone, replica)
        link = links.find(Purpose.WRITE, soon())

        assert link.is_master
        assert link.is_passed_on
        assert link.address == replica.address
        assert link.attached.http_url == "http://replica"
        assert links.find(Purpose.READ, soon()) is link
        links.close()
        assert link.is_lost


def test_a_replica_that_passes_nobody_on_is_asked_for_that_once_a_second() -> None:
    with ScriptedNode(silence) as gone:
        pass
    asked: list[Attach] = []

    def told(attach: Attach) -> Message:
        asked.append(attach)
        return replace(REPLICA, master_addr=gone.address)

    begun_ms = now_ms()
    with ScriptedNode(silence, told) as replica:
        links = links_to(gone, replica)
        with pytest.raises(NoMasterError):
            links.find(Purpose.WRITE, begun_ms + 1500)
    seconds = (now_ms() - begun_ms) // 1000  # one, unless this machine was held up

    wishes = [attach for attach in asked if TO_MASTER in attach.features]
    assert 1 <= len(wishes) <= seconds
    assert len(asked) > 2


def test_a_passage_that_breaks_is_looked_for_anew() -> None:
    with ScriptedNode(silence) as gone:
        pass
    with ScriptedNode(silence, passing(gone.address)) as replica:
        links = links_to(gone, replica)
        first = links.find(Purpose.WRITE, soon())
        links.lost(first)
        second = links.find(Purpose.WRITE, soon())

        assert first.is_lost
        assert second.is_passed_on
        links.close()
