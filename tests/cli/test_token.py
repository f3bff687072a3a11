"""The commands about tokens."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.conftest import Run
from cli.fake_nodes import FakeNode

Start = Callable[[], FakeNode]

ABOUT = {
    "id": "0123456789",
    "name": "shop",
    "role": "write",
    "created_at": "2026-01-01T00:00:00+00:00",
    "expires_at": None,
}
NEW = {"token": "nexus_0123456789_secret", "about": ABOUT}
DATED = {**ABOUT, "id": "00000000aa", "name": "", "expires_at": "2996-02-01T00:00:00Z"}
LIST = {"tokens": [ABOUT, DATED]}
OVER = {**ABOUT, "id": "00000000bb", "expires_at": "2000-01-01T00:00:00+00:00"}
TO_COME = {**ABOUT, "id": "00000000cc", "expires_at": "2999-01-01T00:00:00+00:00"}


def test_a_new_token_alone_is_on_standard_output(run: Run, start: Start) -> None:
    node = start().on("POST /tokens", NEW)

    ended = run("token", "create", node.url, "--role", "write", "--name", "shop")

    assert ended.status == 0
    assert ended.output == f"{NEW['token']}\n"
    assert "role write, until revoked" in ended.error
    assert node.bodies("/tokens") == [{"role": "write", "name": "shop", "expires_s": 0}]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90d", 7_776_000), ("12h", 43_200), ("5m", 300), ("9s", 9)]
)
def test_a_time_has_a_unit(run: Run, start: Start, text: str, seconds: int) -> None:
    node = start().on("POST /tokens", {**NEW, "about": DATED})

    ended = run("token", "create", node.url, "--role", "read", "--expires", text)

    assert "until 2996-02-01" in ended.error
    assert node.bodies("/tokens")[0]["expires_s"] == seconds


@pytest.mark.parametrize("text", ["90", "d", "1y", "-1d", "1.5h"])
def test_any_other_time_is_wrong_usage(run: Run, start: Start, text: str) -> None:
    node = start()
    ended = run("token", "create", node.url, "--role", "read", "--expires", text)
    assert ended.status == 2
    assert "like 90d" in ended.error


def test_no_token_is_wanted_for_longer_than_a_node_takes(
    run: Run, start: Start
) -> None:
    node = start()
    ended = run("token", "create", node.url, "--role", "read", "--expires", "3651d")
    assert ended.status == 2
    assert "--expires is at most 3650d" in ended.error
    assert node.bodies("/tokens") == []


def test_a_name_is_that_of_the_token_that_is_still_valid(
    run: Run, start: Start
) -> None:
    node = start().on("GET /tokens", {"tokens": [OVER, TO_COME]})
    node.on("DELETE /tokens/00000000cc", TO_COME)
    node.on("DELETE /tokens/00000000bb", OVER)

    assert run("token", "revoke", node.url, "shop").output.startswith("00000000cc")
    ended = run("token", "revoke", node.url, OVER["id"])
    assert ended.output.startswith("00000000bb")


def test_a_token_that_has_expired_is_told_from_one_that_is_valid(
    run: Run, start: Start
) -> None:
    node = start().on("GET /tokens", {"tokens": [OVER, TO_COME]})

    over, to_come = run("token", "list", node.url).output.splitlines()

    assert over == "00000000bb  write  expired 2000-01-01T00:00:00+00:00  shop"
    assert to_come == "00000000cc  write  until 2999-01-01T00:00:00+00:00  shop"


def test_tokens_are_listed(run: Run, start: Start) -> None:
    node = start().on("GET /tokens", LIST)

    ended = run("token", "list", node.url)

    assert ended.output.splitlines() == [
        "0123456789  write  for good  shop",
        "00000000aa  write  until 2996-02-01T00:00:00Z",
    ]


@pytest.mark.parametrize("called", ["shop", "0123456789"])
def test_a_token_is_revoked_by_id_or_name(run: Run, start: Start, called: str) -> None:
    node = start().on("GET /tokens", LIST).on("DELETE /tokens/0123456789", ABOUT)

    ended = run("token", "revoke", node.url, called)

    assert ended.output == "0123456789 shop is good no more\n"


def test_a_token_is_rotated(run: Run, start: Start) -> None:
    path = "/tokens/0123456789/rotate"
    node = start().on("GET /tokens", LIST).on(f"POST {path}", NEW)

    ended = run("token", "rotate", node.url, "shop", "--grace", "1h")

    assert ended.output == f"{NEW['token']}\n"
    assert node.bodies(path) == [{"grace_s": 3600}]


@pytest.mark.parametrize(
    ("tokens", "error"),
    [
        ([], "no token is called 'x'"),
        ([{**ABOUT, "name": "x"}, {**DATED, "name": "x"}], "2 tokens are called 'x'"),
    ],
)
def test_a_name_must_mean_one_token(
    run: Run, start: Start, tokens: list[object], error: str
) -> None:
    node = start().on("GET /tokens", {"tokens": tokens})

    ended = run("token", "revoke", node.url, "x")

    assert ended.status == 1
    assert error in ended.error


@pytest.mark.parametrize("rest", [["list"], ["revoke", "shop"], ["create"]])
def test_each_answers_in_json(run: Run, start: Start, rest: list[str]) -> None:
    node = start().on("GET /tokens", LIST).on("POST /tokens", NEW)
    node.on("DELETE /tokens/0123456789", ABOUT)
    command, *more = rest
    if command == "create":
        more = ["--role", "read"]

    ended = run("token", command, node.url, *more, "--json")

    expected = {"list": LIST, "revoke": ABOUT, "create": NEW}[command]
    assert json.loads(ended.output) == expected


def test_a_token_is_taken_from_a_file_or_the_environment(
    run: Run, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("from a file\n")
    node = start().on("GET /tokens", LIST)

    run("token", "list", node.url, "--token-file", file)
    monkeypatch.setenv("NEXUS_TOKEN", "from the environment")
    monkeypatch.setenv("NEXUS_CLUSTER_SECRET", "secret")
    run("token", "list", node.url)
    monkeypatch.setenv("NEXUS_TOKEN_FILE", str(file))
    run("token", "list", node.url)

    assert node.authorizations == [
        "Bearer from a file",
        "Bearer from the environment",
        "Bearer from a file",
    ]
