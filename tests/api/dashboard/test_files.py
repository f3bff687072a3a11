"""The page and its files come from this node alone, under a strict policy."""

import hashlib
import re
from pathlib import Path

import pytest

from api.company import company
from api.fake_node import FakeNode, client_of
from nexus.api.dashboard.files import TYPES, page, page_files
from nexus.cli.flags import ALIASES, flag_of
from nexus.config import Config
from nexus.config.loading import SETTINGS
from nexus.model.secret import Secret

VENDORED = {
    "vendor/uPlot.esm.js": (
        "5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba"
    ),
    "vendor/uPlot.min.css": (
        "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"
    ),
}
"""SHA-256 of `dist/` in the registry's package uplot 1.6.32."""


async def test_the_page_is_served_to_whoever_asks_for_no_json(node: FakeNode) -> None:
    async with client_of(node) as client:
        answer = await client.get("/")
        listed = await client.get("/", headers={"Accept": "application/json"})

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Nexus</title>" in answer.text
    assert {"method": "GET", "path": "/cluster"} in [
        {key: call[key] for key in ("method", "path")}
        for call in listed.json()["calls"]
    ]


async def test_the_page_needs_no_token_and_its_figures_do(tmp_path: Path) -> None:
    config = Config(cluster_secret=Secret("s" * 16), http_addr="0.0.0.0:1")
    async with client_of(FakeNode(tmp_path, config)) as client:
        codes = [
            (await client.get(path)).status_code
            for path in ("/", "/dashboard/main.js", "/cluster", "/cluster/events")
        ]

    assert codes == [200, 200, 401, 401]


async def test_the_policy_names_the_nodes_that_it_may_move_to(tmp_path: Path) -> None:
    async with company(tmp_path) as both:
        answer = await both.at_replica.get("/")

    policy = answer.headers["content-security-policy"]
    sources = dict(part.split(" ", 1) for part in policy.split("; "))
    assert sources["default-src"] == "'none'"
    assert sources["script-src"] == sources["style-src"] == "'self'"
    assert both.master.current.master_url in sources["connect-src"].split()
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "url", ["http://a b", "http://x; script-src *", "javascript:alert(1)", "http://[::"]
)
def test_what_is_no_origin_stays_out_of_the_policy(url: str) -> None:
    policy = page([url]).headers["content-security-policy"]

    assert "connect-src 'self'; " in policy


async def test_every_file_is_served_with_its_type(node: FakeNode) -> None:
    async with client_of(node) as client:
        for path in page_files().keys() - {"index.html"}:
            answer = await client.get(f"/dashboard/{path}")
            assert answer.content == page_files()[path]
            assert answer.headers["content-type"] in TYPES.values()
            assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_file_that_is_known_is_not_sent_again(node: FakeNode) -> None:
    async with client_of(node) as client:
        first = await client.get("/dashboard/style.css")
        again = await client.get(
            "/dashboard/style.css", headers={"If-None-Match": first.headers["etag"]}
        )

    assert (again.status_code, again.content) == (304, b"")
    assert "content-length" not in again.headers


@pytest.mark.parametrize(
    "path",
    ["nothing.js", "../files.py", "%2e%2e/files.py", "vendor/", "index.html", "\x00"],
)
async def test_what_is_no_file_of_the_page_is_not_found(
    node: FakeNode, path: str
) -> None:
    async with client_of(node) as client:
        answer = await client.get(f"/dashboard/{path.replace(chr(0), '%00')}")

    assert answer.status_code == 404
    assert answer.json()["title"]


def test_the_page_has_no_script_or_style_of_its_own_and_no_foreign_source() -> None:
    html = page_files()["index.html"].decode()
    own = [name for name in page_files() if not name.startswith("vendor/")]

    assert re.findall(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", html) == []
    for name in own:
        found = re.findall(r"https?://[\w.]+", page_files()[name].decode())
        assert set(found) <= {"http://www.w3.org"}


def test_what_is_not_ours_stands_with_its_licence() -> None:
    vendored = {name for name in page_files() if name.startswith("vendor/")}

    assert "vendor/uPlot-LICENSE" in vendored
    assert b"MIT" in page_files()["vendor/uPlot-LICENSE"]


@pytest.mark.parametrize(("name", "sha256"), VENDORED.items())
def test_what_is_not_ours_is_as_its_authors_released_it(name: str, sha256: str) -> None:
    assert hashlib.sha256(page_files()[name]).hexdigest() == sha256


def test_what_the_page_says_to_type_is_taken_by_the_command() -> None:
    known = {flag_of(setting) for setting in SETTINGS.values()} | {*ALIASES.values()}
    said = [
        command
        for path, content in page_files().items()
        if "vendor" not in path
        for command in re.findall(r"nexus serve ([^\"<]*)", content.decode())
    ]

    assert said
    for command in said:
        assert set(re.findall(r"--[a-z-]+", command)) <= known, command
