"""Whatever the README and the guides say to type, the command line takes."""

import re
import shlex
from pathlib import Path

import pytest

from command_line import typed

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(?:sh|shell)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|\b(?:until|then|do)\b|&&) *(nexus [^;&|<>]*)")


def commands(page: str) -> list[str]:
    """The commands of Nexus in the blocks of a page, each on one line."""
    found: list[str] = []
    for block in BLOCK.findall(page):
        for line in block.replace("\\\n", " ").splitlines():
            found += COMMAND.findall(line)
    return found


PAGES = {
    str(path.relative_to(ROOT)): commands(path.read_text(encoding="utf-8"))
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if "_build" not in path.parts
}


def read(line: str) -> None:
    """Have the command line read this; raises for what it refuses."""
    _, *arguments = shlex.split(line.replace("…", ""), comments=True)
    typed(arguments)


def test_commands_are_found_wherever_a_line_has_them() -> None:
    page = """```sh
nexus serve --data a \\
    --role master &
until nexus status URL; do sleep 1; done
make venv && nexus check FILE > found  # and see
```"""

    assert [shlex.split(line) for line in commands(page)] == [
        ["nexus", "serve", "--data", "a", "--role", "master"],
        ["nexus", "status", "URL"],
        ["nexus", "check", "FILE"],
    ]


@pytest.mark.parametrize("page", [page for page, lines in PAGES.items() if lines])
def test_what_a_page_says_to_type_is_taken(page: str) -> None:
    for line in PAGES[page]:
        read(line)


def test_what_the_command_line_does_not_know_is_found() -> None:
    with pytest.raises(Exception, match="No such option"):
        read("nexus status --wach http://a:1")
