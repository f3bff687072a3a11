"""The compiled wheel holds what it should, in this process and in a node's."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.compiled

PROJECT = tomllib.loads(
    (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
)
WHEEL = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
MODULES = [
    file.removeprefix("src/").removesuffix(".py").replace("/", ".")
    for file in WHEEL["hooks"]["mypyc"]["include"]
]


@pytest.mark.parametrize("module", MODULES)
def test_what_each_commit_passes_through_is_compiled(module: str) -> None:
    file = importlib.import_module(module).__file__

    assert file is not None
    assert file.endswith(".so")


def test_a_process_that_is_started_has_it_compiled_too() -> None:
    script = "import nexus.storage.wal as wal; print(wal.__file__)"
    told = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )

    assert told.stdout.strip().endswith(".so")
