"""The page's scripts parse, and what they compute is as their own tests claim."""

import shutil
import subprocess
from pathlib import Path

import pytest

from nexus.api import dashboard

ROOT = Path(__file__).parents[3]
PAGE = Path(dashboard.__path__[0]) / "page"
SCRIPTS = Path(__file__).parent / "scripts"
TESTS = sorted(SCRIPTS.glob("*.test.js"))
LONGEST_SCRIPT = 350


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts where Node 18 knows them for modules, as a browser does."""
    place = tmp_path_factory.mktemp("modules")
    (place / "package.json").write_text('{"type": "module"}')
    for folder in (PAGE, SCRIPTS):
        shutil.copytree(folder, place / folder.relative_to(ROOT))
    return place


def node(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("node")
    assert program, "the page's tests need Node: apt-get install nodejs"
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "script", sorted(PAGE.glob("*.js")), ids=lambda path: path.name
)
def test_a_script_parses_is_short_and_says_what_it_is_for(
    script: Path, modules: Path
) -> None:
    text = script.read_text()

    checked = node("--check", modules / script.relative_to(ROOT))
    assert checked.returncode == 0, checked.stderr
    assert text.startswith("/** ")
    assert len(text.splitlines()) <= LONGEST_SCRIPT


@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.name)
def test_what_a_script_computes_is_as_its_tests_claim(
    file: Path, modules: Path
) -> None:
    ran = node("--test", modules / file.relative_to(ROOT))

    assert ran.returncode == 0, ran.stdout
    assert "# pass 0" not in ran.stdout
