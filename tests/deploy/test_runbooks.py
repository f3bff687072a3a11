"""Each alert has its page, and what a page says to type can be typed."""

import re
import shlex
from pathlib import Path

import pytest

from command_line import typed
from deploy.files import ROOT, rules, samples
from nexus.api.application import CALLS
from nexus.config.loading import SETTINGS

RUNBOOKS = ROOT / "docs" / "guides" / "runbooks"
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.name != "index.md")
PARTS = ["## Symptom", "## Look", "## What you see", "## Mend"]
SYSTEM = {"systemctl", "journalctl", "df", "du", "timedatectl", "chronyc", "openssl"}


def named(path: Path) -> str:
    return path.stem


def commands(page: Path) -> list[str]:
    """What a page says to type."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def logged() -> set[str]:
    page = (ROOT / "docs" / "reference" / "logs.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `([a-z_]+)` \|", page, flags=re.MULTILINE))


def test_each_alert_names_the_page_that_is_about_it() -> None:
    told = {rule["annotations"]["runbook_url"]: rule["alert"] for rule in rules()}

    assert set(told) == {f"docs/guides/runbooks/{page.name}" for page in PAGES}
    for path, alert in told.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        assert f"Alert: `{alert}`" in text
        index = (RUNBOOKS / "index.md").read_text(encoding="utf-8")
        assert f"| `{alert}` |" in index


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_says_what_is_wrong_what_to_type_and_what_to_do(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert [line for line in text.splitlines() if line.startswith("## ")] == PARTS


def fetched(url: str) -> None:
    """There is such a call."""
    path = re.sub(r"^https?://[^/]+", "", url)
    assert ("GET", path) in {(call.method, call.path) for call in CALLS}, url


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_a_page_says_to_type_can_be_typed(page: Path) -> None:
    lines = commands(page)
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line)
        if program == "nexus":
            typed(arguments)
        elif program == "curl":
            fetched(arguments[-1])
        else:
            assert program in SYSTEM, line


def test_what_cannot_be_typed_is_found() -> None:
    with pytest.raises(Exception, match="No such option"):
        typed(["status", "--wach", "http://a:1"])
    with pytest.raises(AssertionError):
        fetched("http://a:1/replication/statistics")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    spans = re.findall(r"`([^`\n]+)`", text)
    metrics = {span for span in spans if re.fullmatch(r"nexus_[a-z_]+", span)}
    assert metrics <= samples() | {name.removesuffix("_bucket") for name in samples()}
    settings = {span for span in spans if re.fullmatch(r"[a-z]+\.[a-z_]+", span)}
    assert settings - {"nexus.db"} <= set(SETTINGS)
    for command in re.findall(r"`nexus ([a-z]+)", text):
        typed([command, *EXAMPLES[command]])
    for event in re.findall(r'"event": "([a-z_]+)"', text):
        assert event in logged()


EXAMPLES = {
    "promote": ["http://a:1"],
    "member": ["remove", "http://a:1", "n2"],
    "mode": ["http://a:1", "async"],
    "pause": ["http://a:1"],
    "resume": ["http://a:1"],
    "switchover": ["http://a:1", "n2"],
    "status": ["http://a:1"],
    "verify": ["http://a:1"],
    "backup": ["verify", "s3://backups/nexus"],
}
"""Each command that a page names in passing, with arguments that it takes."""
