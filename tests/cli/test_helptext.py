"""What help says of arguments and options."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.main import get_command

from cli.conftest import Run
from nexus.cli.app import application
from nexus.cli.helptext import plain


def paths(group: Any, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of each command."""
    if not hasattr(group, "commands"):
        yield words
        return
    for name, command in group.commands.items():
        yield from paths(command, *words, name)


COMMANDS = tuple(paths(get_command(application())))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_help_speaks_of_python_types(run: Run, words: tuple[str, ...]) -> None:
    told = run(*words, "--help").output

    assert re.findall(r"<[^>]*>|[{}]", told) == []
    assert "[default: (" not in told
    assert f"Usage: nexus {' '.join(words)} [OPTIONS]" in told


def test_names_choices_and_defaults_are_told_as_they_are_typed(run: Run) -> None:
    assert "Usage: nexus status [OPTIONS] URL..." in run("status", "-h").output
    assert "\n  --role read|write|admin  " in run("token", "create", "-h").output
    assert "\n  --days N  " in run("tls", "init", "-h").output
    assert "[default: 3650; 1<=x<=36500]" in run("tls", "init", "-h").output


def test_what_is_hidden_stays_hidden() -> None:
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    def alone(secret: str = typer.Option("", hidden=True)) -> None:
        """Do nothing with it."""

    command: Any = plain(get_command(app))
    context = command.make_context("alone", [])

    assert "secret" not in command.get_help(context)
