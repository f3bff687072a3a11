"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from nexus.storage.sqlite.functions import Functions

NodeUrl = Annotated[
    str,
    typer.Argument(
        metavar="URL", help="A node's HTTP address, like http://127.0.0.1:15474."
    ),
]
NodeUrls = Annotated[
    list[str],
    typer.Argument(
        metavar="URL", help="HTTP addresses of nodes; the others are found."
    ),
]
SecretFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        "--secret-file",
        metavar="FILE",
        help="A file with a token, or the cluster secret; else the environment's "
        "NEXUS_TOKEN, NEXUS_TOKEN_FILE, NEXUS_CLUSTER_SECRET. No option takes the "
        "token itself: all users of this machine could read it.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NodeDirectory = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="The node's data directory.")
]
FunctionModules = Annotated[
    str,
    typer.Option(
        "--functions",
        metavar="MODULE,…",
        help="Python modules of the SQL functions that the schema uses.",
    ),
]


def functions_of(text: str) -> Functions:
    """What --functions names; raises ConfigurationError for what is no such module."""
    return Functions.of_modules(tuple(filter(None, text.split(","))))
