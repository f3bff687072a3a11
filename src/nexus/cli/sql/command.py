"""Run SQL: one statement, a script from standard input, or a shell."""

import os
from typing import Annotated, Final

import typer

from nexus.cli.native import NativeSource
from nexus.cli.options import AsJson, SecretFile
from nexus.cli.remote import known_secret
from nexus.cli.sources import open_source
from nexus.cli.sql.lines import Arriving, decoded
from nexus.cli.sql.printing import Mode
from nexus.cli.sql.prompt import typed
from nexus.cli.sql.script import Entry, entries
from nexus.cli.sql.shell import Shell

STANDARD_INPUT: Final = 0


def sql(
    target: Annotated[
        str,
        typer.Argument(
            metavar="URL|DIR", help="A node, nexus://A,B,C, or a directory."
        ),
    ],
    statement: Annotated[
        str | None,
        typer.Argument(
            metavar="STATEMENT", help="SQL to run; else a shell, or standard input."
        ),
    ] = None,
    *,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    secret_file: SecretFile = None,
) -> None:
    """Run SQL on a node, or read a data directory."""
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    mode = Mode.JSON if as_json else Mode.CSV if as_csv else Mode.TABLE
    secret = known_secret(secret_file)
    native = target.startswith("nexus://")
    source = NativeSource(target, secret) if native else open_source(target, secret)
    shell = Shell(source, mode)
    try:
        if statement is not None:
            shell.obey([Entry(statement)])
        elif os.isatty(STANDARD_INPUT):
            print(f"{source.name}   (.help for help)")
            shell.converse(typed(shell))
        else:
            lines = Arriving(STANDARD_INPUT)
            shell.obey(entries(decoded(lines, "standard input")), lines.is_ready)
    finally:
        source.close()
