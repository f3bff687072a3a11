"""`nexus changes`: the change feed of a cluster, as lines of JSON."""

import os
import sys
from typing import Annotated

import typer

from nexus.api.changestreams import Lines
from nexus.cli.options import NodeUrls, SecretFile
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import base_url, known_secret
from nexus.cli.terminal import harmless_json
from nexus.cli.trust import trusted
from nexus.client.changes import Changes
from nexus.client.changes import changes as read_changes
from nexus.errors import ChangesGoneError, PositionLostError

Since = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="Begin after this change's id, or this offset; 0: with the first entry. "
        "Without it: with the next change.",
    ),
]
Tables = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Only this table; may be repeated."),
]
Limit = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="End after N changes.")
]
Until = Annotated[
    int | None, typer.Option(metavar="OFFSET", min=0, help="End after this entry.")
]
Follow = Annotated[
    bool,
    typer.Option(
        "--follow/--no-follow", help="Wait for new changes, or end at the last one."
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", min=0, help="Give up when no node answers for so long."
    ),
]


def changes(  # noqa: PLR0913 - each is an option of the command line
    urls: NodeUrls,
    *,
    since: Since = None,
    table: Tables = None,
    limit: Limit = None,
    until: Until = None,
    follow: Follow = True,
    timeout: Timeout = 60.0,
    secret_file: SecretFile = None,
) -> None:
    """Print every committed change as one line of JSON."""
    feed = read_changes(
        [base_url(url) for url in urls],
        since=since,
        tables=table or (),
        until=until,
        limit=limit,
        follow=follow,
        secret=known_secret(secret_file),
        tls=trusted(),
        timeout=timeout,
    )
    with feed:
        _print(feed)


def _print(feed: Changes) -> None:
    write = Lines().change
    try:
        for change in feed:
            sys.stdout.write(harmless_json(write(change).decode()))
            sys.stdout.flush()
    except PositionLostError as error:
        raise NotDoneError(
            f"{error}; go on with --since {error.resume_from}"
            if error.resume_from
            else str(error)
        ) from None
    except ChangesGoneError as error:
        raise NotDoneError(
            f"{error}; go on with --since {error.oldest_offset - 1}"
        ) from None
    except BrokenPipeError:
        # Whoever read has enough; what Python flushes at its end has to go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
