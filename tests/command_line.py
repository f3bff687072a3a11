"""What the command line takes, asked without doing it."""

from functools import cache
from typing import Any

from typer.main import get_command

from nexus.cli.app import application


@cache
def _commands() -> Any:
    return get_command(application())


def typed(arguments: list[str]) -> None:
    """Have the command line read these, and do nothing; raises for what it refuses."""
    command, name = _commands(), "nexus"
    while hasattr(command, "commands"):
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context(name, arguments)
