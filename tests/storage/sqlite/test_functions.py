"""A module that serves Python's sqlite3 serves a node's connections, too."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from nexus.errors import ConfigurationError
from nexus.storage.sqlite.connections import open_reader, open_writer
from nexus.storage.sqlite.functions import Functions

MODULE = """
class Longest:
    def __init__(self):
        self.found = ""

    def step(self, text):
        self.found = max(self.found, text, key=len)

    def finalize(self):
        return self.found


def backwards(one, other):
    return (one < other) - (one > other)


def register(connection):
    (known,) = connection.execute("select abs(-1)").fetchone()
    assert known == 1
    connection.create_function("twice", 1, lambda x: x * 2, deterministic=True)
    connection.create_function("count_of", -1, lambda *all: len(all))
    connection.create_function("ratio", 2, lambda a, b: a / b)
    connection.create_aggregate("longest", 1, Longest)
    connection.create_collation("backwards", backwards)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "own_functions.py").write_text(MODULE)
    (tmp_path / "no_functions.py").write_text("register_all = None\n")
    (tmp_path / "broken_functions.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_functions"
    for name in ("own_functions", "no_functions", "broken_functions"):
        sys.modules.pop(name, None)


@pytest.fixture
def ask(module: str, tmp_path: Path) -> Iterator[Callable[[str], list[Any]]]:
    """Each query, of the writer, a reader, and of Python's sqlite3: all must agree."""
    functions = Functions.of_modules([module])
    path = tmp_path / "a.db"
    writer = open_writer(path, functions)
    writer.execute("create table words(w); insert into words values ('a'), ('bcd')")
    reader = open_reader(path, functions)
    python = sqlite3.connect(":memory:")
    sys.modules[module].register(python)
    python.executescript(
        "create table words(w); insert into words values ('a'),('bcd')"
    )

    def asked(query: str) -> list[Any]:
        answers = [
            [tuple(row) for row in connection.execute(query)]
            for connection in (writer, reader, python)
        ]
        assert answers[0] == answers[1] == answers[2]
        return answers[0]

    yield asked
    python.close()


def test_functions_aggregates_and_collations_work_everywhere(
    ask: Callable[[str], list[Any]],
) -> None:
    assert ask("select twice(21), twice('ab'), count_of(1, 2, 3)") == [(42, "abab", 3)]
    assert ask("select longest(w) from words") == [("bcd",)]
    assert ask("select w from words order by w collate backwards") == [("bcd",), ("a",)]


def test_a_deterministic_function_may_stand_in_an_index(
    module: str, tmp_path: Path
) -> None:
    writer = open_writer(tmp_path / "a.db", Functions.of_modules([module]))

    writer.execute("create table t(a); create index i on t(twice(a))")
    with pytest.raises(apsw.SQLError, match="non-deterministic"):
        writer.execute("create index j on t(ratio(a, 2))")


def test_what_a_function_raises_is_the_statements_error(
    module: str, tmp_path: Path
) -> None:
    writer = open_writer(tmp_path / "a.db", Functions.of_modules([module]))

    with pytest.raises(apsw.SQLError, match="the function ratio raised ZeroDivision"):
        writer.execute("select ratio(1, 0)")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.at_all", "cannot be imported: No module named 'nowhere'"),
        ("broken_functions", "cannot be imported: division by zero"),
        ("no_functions", r"has no register\(connection\)"),
    ],
)
def test_a_module_of_no_use_is_named(module: str, name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} {message}"):
        Functions.of_modules([module, name])
