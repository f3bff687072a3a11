"""The house rules that no other tool checks."""

import ast
import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from hypothesis import settings
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "nexus"
MODULES = sorted(SOURCE.rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LONGEST_MODULE = 350
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
DOORS = {"__init__.py", "__main__.py"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WHEEL = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
COMPILED = WHEEL["hooks"]["mypyc"]["include"]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("module", [*MODULES, *BENCHMARKS], ids=named)
def test_a_module_is_short_and_says_what_it_answers(module: Path) -> None:
    text = module.read_text(encoding="utf-8")

    assert len(text.splitlines()) <= LONGEST_MODULE
    assert (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0].strip()


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_a_module_has_a_test_file_of_its_own(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    does_something = any(isinstance(node, FUNCTIONS) for node in ast.walk(tree))
    if module.name in DOORS or not does_something:
        return
    place = module.relative_to(SOURCE)
    mirrored = ROOT / "tests" / place.parent / f"test_{place.name}"
    assert mirrored.is_file(), f"{named(mirrored)} is missing"


@pytest.mark.parametrize("file", [*MODULES, *BENCHMARKS, *TESTS], ids=named)
def test_nothing_is_left_undone_or_nameless(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    left = re.findall(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b", text)

    assert left == []
    assert file.stem.removeprefix("test_") not in BANNED_NAMES
    assert "NotImplemented" + "Error" not in text


@pytest.mark.parametrize("file", TESTS, ids=named)
def test_a_test_is_run_and_is_a_claim(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    calls = re.findall(r"pytest\.(?:skip|mark\.skip|mark\.xfail)\b", text)

    assert calls == []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, FUNCTIONS) and node.name.startswith("test_"):
            assert node.name.count("_") >= 3, f"{node.name} claims nothing"


def test_the_package_tells_type_checkers_that_it_is_typed() -> None:
    assert (SOURCE / "py.typed").is_file()


LEVELS = {"debug", "info", "warning", "error", "exception", "record", "tell", "Report"}


def logged_events() -> set[str]:
    """The name of every event that a line of the log can have."""
    found = set()
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            for word in node.args[:2] if called in LEVELS else ():
                if isinstance(word, ast.Constant) and isinstance(word.value, str):
                    found.add(word.value)
    return {name for name in found if re.fullmatch(r"[a-z]+(_[a-z]+)*", name)}


def test_the_reference_of_the_logs_names_every_event() -> None:
    page = (ROOT / "docs" / "reference" / "logs.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([a-z_]+)` \|", page, flags=re.MULTILINE)

    assert logged_events() - {*told} == set(), "give it a row in docs/reference/logs.md"
    assert {*told} - logged_events() == set(), "nothing logs it any more"
    assert told == sorted(told), "whoever looks one up goes by the alphabet"


def test_only_a_profile_says_that_examples_are_repeated() -> None:
    fixed = re.compile(r"^\s*@see" r"d\(|\bderandomize=", re.MULTILINE)
    files = [named(file) for file in TESTS if fixed.search(file.read_text("utf-8"))]

    assert files == ["tests/conftest.py"], "make fuzz would draw nothing fresh there"
    assert not settings.get_profile("explore").derandomize


def test_every_test_that_the_makefile_names_exists() -> None:
    named = re.findall(r"\btests/[\w/.-]+", (ROOT / "Makefile").read_text("utf-8"))

    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_python_that_is_promised_is_one_that_make_pythons_tries() -> None:
    promised = re.findall(r"Python :: (3\.\d+)", str(PROJECT["project"]["classifiers"]))
    makefile = (ROOT / "Makefile").read_text("utf-8")
    tried = re.search(r"^PYTHONS \?= (.+)$", makefile, re.MULTILINE)

    lowest = promised[0]
    assert tried is not None
    assert tried[1].split() == promised
    assert PROJECT["project"]["requires-python"] == f">={lowest}"
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{lowest.replace('.', '')}"


@pytest.mark.parametrize("module", COMPILED)
def test_what_is_compiled_declares_nothing_that_mypyc_would_change(module: str) -> None:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))

    for node in ast.walk(tree):
        # mypyc drops a class's keywords, and msgspec's are what makes a value frozen.
        assert not (isinstance(node, ast.ClassDef) and node.keywords), node.lineno
        # `raise … from …` sets no cause there, so nobody may ask for one.
        assert not (isinstance(node, ast.Attribute) and node.attr == "__cause__")
        # A name has one type in a function, and an error of another one is a TypeError.
        if isinstance(node, FUNCTIONS):
            caught = {
                (handler.name, ast.unparse(handler.type))
                for handler in ast.walk(node)
                if isinstance(handler, ast.ExceptHandler)
                if handler.name is not None and handler.type is not None
            }
            names = [name for name, _ in caught]
            assert sorted(set(names)) == sorted(names), node.name


def test_nothing_compiled_lies_among_the_sources() -> None:
    assert list((ROOT / "src").rglob("*.so")) == []


def test_the_oldest_python_of_a_release_can_install_what_is_locked() -> None:
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=") + ".0"
    wants = {one.name: one.metadata["Requires-Python"] for one in distributions()}
    newer = {
        name: asked
        for name, asked in wants.items()
        if asked and not SpecifierSet(asked).contains(oldest)
    }

    assert len(wants) > 100
    assert newer == {}
