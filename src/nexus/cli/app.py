"""The commands together, and how each ends: 0 done, 1 not done, 2 wrong usage."""

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.main import get_command

import nexus
from nexus.cli.descriptors import hold_standard
from nexus.cli.helptext import plain
from nexus.cli.terminal import print_error
from nexus.cli.trust import with_trust
from nexus.errors import NexusError

DONE: Final = 0
NOT_DONE: Final = 1
WRONG_USAGE: Final = 2

COMMANDS: Final = {
    "demo": "demo.command:demo",
    "serve": "serve:serve",
    "check": "check:check",
    "import": "importing:import_file",
    "sql": "sql.command:sql",
    "changes": "changes:changes",
    "status": "status:status",
    "verify": "verify:verify",
    "promote": "operate:promote",
    "switchover": "operate:switchover",
    "mode": "operate:mode",
    "maintenance": "member:maintenance",
    "pause": "operate:pause",
    "resume": "operate:resume",
    "snapshot": "operate:snapshot",
    "restore": "restore:restore",
    "bench": "bench.command:bench",
}
"""Where each command is, within this package."""

GROUPS: Final = {
    "member": "member:app",
    "backup": "backup:app",
    "token": "token:app",
    "tls": "tls:app",
}
"""Where each group of commands is."""


def application(words: Sequence[str] = ()) -> typer.Typer:
    """All commands, or the one alone that these words begin with.

    Who asks for a status need not wait until the whole server is loaded.
    """
    first = next((word for word in words if not word.startswith("-")), "")
    chosen = (first,) if first in {*COMMANDS, *GROUPS} else (*GROUPS, *COMMANDS)
    app = typer.Typer(
        name="nexus",
        help="Keep a SQLite database alive when its machine dies.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_top)
    for name in chosen:
        if name in GROUPS:
            app.add_typer(_found(GROUPS[name]), name=name)
        else:
            app.command(name)(with_trust(_found(COMMANDS[name])))
    return app


def _found(place: str) -> Any:
    module, name = place.split(":")
    return getattr(import_module(f"nexus.cli.{module}"), name)


def _top(
    context: typer.Context,
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.")
    ] = False,
) -> None:
    if version:
        print(f"nexus {nexus.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(WRONG_USAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status. Says why in one line where it is not done."""
    hold_standard()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        plain(get_command(application(given))).main(args=given, prog_name="nexus")
    except SystemExit as ended:
        if ended.code in (None, DONE, WRONG_USAGE):
            return int(ended.code or DONE)
        if isinstance(ended.__context__, BrokenPipeError):
            return NOT_DONE  # whoever read, such as head, has enough
        print_error("interrupted; nothing was undone")
    except NexusError as error:
        print_error(error)
    except OSError as error:
        print_error(f"{_file(error)}{error.strerror or error}; mend that and try again")
    except Exception as error:
        # A user gets a line, never a traceback; who looks for the bug, gets it.
        if sys.flags.dev_mode:
            raise
        print_error(
            f"a bug in {_place(error)}: {type(error).__name__}: {error}; please report "
            "it with what `python -X dev -m nexus …` prints"
        )
    return NOT_DONE


def _file(error: OSError) -> str:
    return f"{error.filename}: " if error.filename else ""


def _place(error: Exception) -> str:
    """Where it was raised: the file and line of the innermost frame."""
    innermost = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(innermost.filename).name}:{innermost.lineno}"
