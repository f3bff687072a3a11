"""What a node answers, as changes with SQLite's values and as errors."""

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest
from typing_extensions import override

from nexus.client import feedlink
from nexus.client.changes import Wanted
from nexus.client.feedlink import FeedLink
from nexus.errors import (
    ChangesGoneError,
    NexusError,
    NodeStoppedError,
    NodeUnreachableError,
    PositionLostError,
    ProtocolError,
    RequestError,
)
from nexus.model.change import Change

URL = "http://a:1"
Handler = Callable[[httpx.Request], httpx.Response]


def link_to(handler: Handler) -> FeedLink:
    link = FeedLink("s3cret", 1.0)
    link._client = httpx.Client(
        transport=httpx.MockTransport(handler), headers=link._client.headers
    )
    return link


def line(**fields: Any) -> bytes:
    told = {"op": "insert", "id": "1:2@h", "epoch": 1, "offset": 2} | fields
    return msgspec.json.encode(told) + b"\n"


def read(*pieces: bytes, status: int = 200) -> list[Change]:
    """What is read of an answer that comes in these pieces."""

    class Pieces(httpx.SyncByteStream):
        @override
        def __iter__(self) -> Iterator[bytes]:
            yield from pieces

    link = link_to(lambda _: httpx.Response(status, stream=Pieces()))
    try:
        return list(link.open(URL, []))
    finally:
        link.close()


def test_lines_are_whole_however_they_are_cut() -> None:
    whole = b"".join(line(index=number) for number in range(5))
    cut = [whole[at : at + 7] for at in range(0, len(whole), 7)]

    assert [change.index for change in read(*cut)] == [0, 1, 2, 3, 4]
    assert [change.index for change in read(whole[:-1])] == [0, 1, 2, 3]


def test_values_are_sqlites_own() -> None:
    def as_base64(content: bytes) -> str:
        return base64.b64encode(content).decode()

    (change,) = read(
        line(
            key={"id": -(2**63)},
            old={"a": {"$blob": as_base64(b"\0\xff")}, "b": None, "c": 1.0},
            new={
                "a": {"$float": "-Infinity"},
                "b": {"$text": as_base64(b"x\xff")},
                "c": "é",
            },
        )
    )

    assert change.key == {"id": -(2**63)}
    assert change.old == {"a": b"\0\xff", "b": None, "c": 1.0}
    assert change.new == {"a": float("-inf"), "b": "x\udcff", "c": "é"}


def test_a_counter_is_a_number_and_a_text_may_look_like_a_value() -> None:
    counter, text = read(
        line(op="sequence", old=3, new=4), line(new={"a": '{"$blob": 1}'})
    )

    assert (counter.old, counter.new) == (3, 4)
    assert text.new == {"a": '{"$blob": 1}'}


@pytest.mark.parametrize(
    "value",
    [
        {"$blob": "?"},
        {"$blob": 1},
        {"$odd": ""},
        {"$float": "1"},
        {},
        {"$a": "", "b": 1},
    ],
)
def test_a_value_of_another_kind_is_an_error(value: object) -> None:
    with pytest.raises(ProtocolError, match="has sent the value"):
        read(line(old={"a": {"$float": "Infinity"}}, new={"a": value}))


def test_what_is_no_change_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="no JSON"):
        read(b"<html>\n")
    with pytest.raises(ProtocolError, match="neither a change nor a problem"):
        read(b'{"op":"odd"}\n')


def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedlink, "MOST_LINE_BYTES", 10)
    with pytest.raises(ProtocolError, match="more than 10 bytes"):
        read(b"x" * 8, b"x" * 8)


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        ({"code": "changes_gone", "oldest_offset": 7}, ChangesGoneError),
        ({"code": "position_lost", "resume_from": "1:5@h"}, PositionLostError),
        ({"code": "node_stopped", "status": 503}, NodeStoppedError),
        ({"code": "unauthorised", "status": 401}, RequestError),
        ({"code": "of_the_future", "status": 503}, NexusError),
    ],
)
def test_a_problem_is_the_error_that_the_node_raised(
    problem: dict[str, Any], kind: type[NexusError]
) -> None:
    told = msgspec.json.encode({"detail": "so it is", **problem})

    for status, body in ((503, told), (200, told + b"\n")):
        with pytest.raises(NexusError, match="so it is") as raised:
            read(body, status=status)
        assert type(raised.value) is kind
        for name in ("oldest_offset", "resume_from"):
            if name in problem:
                assert getattr(raised.value, name) == problem[name]


def test_who_does_not_answer_like_a_node_is_unreachable() -> None:
    def break_off(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(NodeUnreachableError, match="like a node"):
        read(b"<html>", status=502)
    with pytest.raises(NodeUnreachableError, match="http://a:1 does not answer"):
        link_to(break_off).open(URL, [])
    with pytest.raises(NodeUnreachableError):
        link_to(break_off).open("no url", [])


def test_a_connection_that_breaks_is_unreachable_after_what_came() -> None:
    class Broken(httpx.SyncByteStream):
        @override
        def __iter__(self) -> Iterator[bytes]:
            yield line()
            raise httpx.ReadTimeout("silence")

    link = link_to(lambda _: httpx.Response(200, stream=Broken()))
    changes = link.open(URL, [])

    assert next(changes).op == "insert"
    with pytest.raises(NodeUnreachableError, match="silence"):
        next(changes)


def test_an_answer_is_broken_off_while_it_is_read() -> None:
    FeedLink("", 1.0).break_off()  # there is none
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = FeedLink("", 100.0)
        thread = threading.Thread(target=_answer_once, args=(server, link))
        thread.start()
        changes = link.open(f"http://127.0.0.1:{server.getsockname()[1]}", [])

        assert next(changes).op == "insert"
        with pytest.raises(NodeUnreachableError):
            next(changes)
        link.break_off()
        thread.join()


_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def _answer_once(server: socket.socket, link: FeedLink) -> None:
    """A line; the second one never comes."""
    connected, _ = server.accept()
    with connected:
        connected.recv(1 << 16)
        connected.sendall(_HEAD + b"%x\r\n" % len(line()) + line() + b"\r\n")
        while link._response is None:
            pass
        link.break_off()
        assert connected.recv(1) == b""


def test_a_node_is_asked_with_the_secret_for_those_it_knows() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["Authorization"])
        if request.url.path == "/replication/status":
            return httpx.Response(200, json={"master_url": "http://m:1"})
        replicas = [{"http_url": "http://r:1"}, {"http_url": ""}]
        return httpx.Response(200, json={"replicas": replicas})

    assert link_to(answer).known_nodes(URL) == ["http://m:1", "http://r:1"]
    assert set(asked) == {"Bearer s3cret"}
    assert link_to(lambda _: httpx.Response(502, text="?")).known_nodes(URL) == []
    assert "Authorization" not in FeedLink("", 1.0)._client.headers


def test_who_takes_the_question_and_does_not_answer_in_time_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        link = FeedLink("", heartbeat_s=600)
        with pytest.raises(NodeUnreachableError):
            link.open(url, [], 0.05)
        link.close()


def test_no_node_is_asked_for_more_heartbeats_than_it_gives() -> None:
    link = FeedLink("", heartbeat_s=0)

    assert link._client.timeout.read == pytest.approx(0.3)
    assert Wanted(heartbeat_s=0).query("", None) == [("heartbeat_ms", 100)]


def test_once_it_answers_a_node_may_be_silent_between_heartbeats() -> None:
    seen: list[httpx.Request] = []

    class Piece(httpx.SyncByteStream):
        @override
        def __iter__(self) -> Iterator[bytes]:
            yield line()

    def answering(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        assert request.extensions["timeout"]["read"] == 0.5
        return httpx.Response(200, stream=Piece())

    link = link_to(answering)
    assert len(list(link.open(URL, [], 0.5))) == 1
    link.close()

    assert seen[0].extensions["timeout"]["read"] == 3.0
