"""The page's scripts parse, and what they compute is as their own tests claim."""

import shutil
import subprocess
from pathlib import Path

import pytest

from nexus.api import dashboard

PAGE = Path(dashboard.__path__[0]) / "page"
TESTS = sorted((Path(__file__).parent / "scripts").glob("*.test.js"))
LONGEST_SCRIPT = 350


def node(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("node")
    assert program, "the page's tests need Node: apt-get install nodejs"
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "script", sorted(PAGE.glob("*.js")), ids=lambda path: path.name
)
def test_a_script_parses_is_short_and_says_what_it_is_for(script: Path) -> None:
    text = script.read_text()

    assert node("--check", script).returncode == 0
    assert text.startswith("/** ")
    assert len(text.splitlines()) <= LONGEST_SCRIPT


@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.name)
def test_what_a_script_computes_is_as_its_tests_claim(file: Path) -> None:
    ran = node("--test", file)

    assert ran.returncode == 0, ran.stdout
    assert "# pass 0" not in ran.stdout
