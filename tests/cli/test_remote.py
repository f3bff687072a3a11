"""One node's REST API, and what went wrong with it in one line."""

import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

import nexus
from cli.fake_nodes import FakeNode
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import NodeCallError, Remote, _mend, base_url, known_secret
from nexus.errors import NodeUnreachableError

Start = Callable[[], FakeNode]


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("http://a:1/", "http://a:1"),
        ("https://a", "https://a"),
        ("a:1", "http://a:1"),
        ("a", "http://a:15474"),
        ("[::1]", "http://[::1]:15474"),
        ("[::1]:9", "http://[::1]:9"),
        ("a/databases/orders", "http://a:15474/databases/orders"),
        ("[::1]/databases/a:1/", "http://[::1]:15474/databases/a:1"),
    ],
)
def test_an_address_becomes_a_url(typed: str, url: str) -> None:
    assert base_url(typed) == url


@pytest.mark.parametrize(
    "typed", ["http://", "http://a:b", "http://a:99999999", "ftp://a", "htp://a:1"]
)
def test_what_is_no_url_is_refused(typed: str) -> None:
    with pytest.raises(NotDoneError, match=r"http://127\.0\.0\.1:15474"):
        base_url(typed)


def test_a_secret_travels_as_a_bearer_token(start: Start) -> None:
    node = start().on("GET /x", {"a": 1})

    with Remote(node.url, "hush") as remote:
        assert remote.get("/x") == {"a": 1}

    assert node.authorizations == ["Bearer hush"]


def test_no_secret_is_no_header(start: Start) -> None:
    node = start().on("POST /x", [])

    with Remote(node.url) as remote:
        remote.post("/x")

    assert node.authorizations == [""]


def test_a_problem_is_told_in_the_nodes_words(start: Start) -> None:
    node = start().problem(
        "GET /x", 409, title="T", detail="it is a replica", what_to_do="Ask b."
    )

    with Remote(node.url) as remote, pytest.raises(NodeCallError) as caught:
        remote.get("/x")

    assert str(caught.value) == f"{node.url}: it is a replica; ask b."
    assert caught.value.status == 409


@pytest.mark.parametrize(
    ("detail", "mend", "told"),
    [
        (
            "nothing happened: no master is known; try again soon",
            "Nothing happened: send it again.",
            "nothing happened: no master is known; try again soon; send it again.",
        ),
        (
            "no master is known",
            "Nothing happened: send it again.",
            "no master is known; nothing happened: send it again.",
        ),
        (
            "this node is no replica; ask one of its replicas",
            "Nothing was changed: the detail says what to do, or which node to ask.",
            "this node is no replica; ask one of its replicas",
        ),
    ],
)
def test_what_happened_and_what_to_do_are_told_once(
    start: Start, detail: str, mend: str, told: str
) -> None:
    node = start().problem("GET /x", 503, detail=detail, what_to_do=mend)

    with Remote(node.url) as remote, pytest.raises(NodeCallError) as caught:
        remote.get("/x")

    assert str(caught.value) == f"{node.url}: {told}"


def test_an_sql_error_counts_statements_from_one(start: Start) -> None:
    node = start().problem(
        "POST /sql",
        400,
        detail="no such table: t",
        what_to_do="Correct the statement at `index`.",
        index=2,
    )

    with Remote(node.url) as remote, pytest.raises(NodeCallError) as caught:
        remote.post("/sql")

    assert str(caught.value).endswith("no such table: t; correct statement 3.")


def test_a_missing_secret_says_how_to_give_one(start: Start) -> None:
    node = start().problem("GET /x", 401, detail="no secret came")

    with Remote(node.url) as remote, pytest.raises(NodeCallError) as caught:
        remote.get("/x")

    assert "no secret came; give a token" in str(caught.value)


@pytest.mark.parametrize("answer", [b"<html>", b"[]"])
def test_an_error_of_another_server_is_told_by_its_status(
    start: Start, answer: bytes
) -> None:
    node = start().on("GET /x", answer, 502)

    with Remote(node.url) as remote, pytest.raises(NodeCallError, match="502 Bad"):
        remote.get("/x")


def test_an_answer_without_json_is_no_node(start: Start) -> None:
    node = start().on("GET /x", b"hello")

    with Remote(node.url) as remote, pytest.raises(NodeCallError, match="Nexus node"):
        remote.get("/x")


def test_nobody_there_is_said_with_the_url() -> None:
    with FakeNode() as node:
        url = node.url

    with Remote(url) as remote, pytest.raises(NodeUnreachableError, match=url):
        remote.get("/x")


def test_a_node_that_does_not_answer_in_time_is_unreachable(start: Start) -> None:
    answer_now = threading.Event()

    def wait(_: object) -> tuple[int, object]:
        answer_now.wait(10)
        return 200, {}

    node = start().on("GET /x", wait)

    with Remote(node.url) as remote:
        with pytest.raises(NodeUnreachableError, match="in time"):
            remote.get("/x", timeout=0.05)
        answer_now.set()


def test_the_secret_comes_from_the_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from the file\n")

    assert known_secret(file, {"NEXUS_CLUSTER_SECRET": "b"}) == "from the file"
    assert known_secret(None, {"NEXUS_CLUSTER_SECRET": "b"}) == "b"
    assert known_secret(None, {"NEXUS_CLUSTER_SECRET_FILE": str(file)})
    assert known_secret(None, {}) == ""


def test_a_clusters_address_is_told_from_a_nodes() -> None:
    with pytest.raises(NotDoneError, match=r"what nexus\.connect takes"):
        base_url("nexus://a:15475,b:15475")


def test_a_replication_port_is_no_http(tmp_path: Path) -> None:
    with nexus.open(tmp_path, role="master", bind="127.0.0.1:0") as node:
        remote = Remote(node.node._parts.address)
        with remote, pytest.raises(NodeUnreachableError, match="its http_addr"):
            remote.get("/health")


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (62, "nexus tls issue --host"),
        (10, "nexus tls issue --replace makes one"),
        (9, "run date on both machines"),
        (20, "name the CA with --ca FILE"),
    ],
)
def test_a_certificate_that_does_not_hold_comes_with_its_own_mend(
    number: int, mend: str
) -> None:
    refused = ssl.SSLCertVerificationError("verify failed")
    refused.verify_code, refused.verify_message = number, "mismatch"
    error = httpx.ConnectError("failed")
    error.__cause__ = refused

    assert mend in _mend(error)


@pytest.mark.parametrize(
    ("reason", "mend"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "name yours with --cert FILE and --key"),
        ("SSLV3_ALERT_CERTIFICATE_REVOKED", "nexus tls issue --client"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "nexus tls issue --client"),
        ("TLSV1_ALERT_UNKNOWN_CA", "or your certificate with --cert and --key"),
    ],
)
def test_whose_own_certificate_is_refused_is_told_what_to_do(
    reason: str, mend: str
) -> None:
    refused = ssl.SSLError(1, f"[SSL: {reason}] told by the other side")
    refused.reason = reason
    error = httpx.ConnectError("failed")
    error.__cause__ = refused

    assert mend in _mend(error)
