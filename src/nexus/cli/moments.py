"""Which moment of an archive is meant: options that restore and verify share."""

from datetime import UTC
from typing import Annotated

import typer

from nexus.archive.restoring import Moment
from nexus.cli.times import read_time, time_us
from nexus.model.position import Offset

ToOffset = Annotated[
    int | None,
    typer.Option("--to-offset", min=1, metavar="N", help="The state after entry N."),
]
ToTime = Annotated[
    str | None,
    typer.Option(
        "--to-time",
        metavar="TIME",
        help="The state at that time, like 2026-11-28T12:00:00Z; UTC if no zone.",
    ),
]
OfCluster = Annotated[
    str | None,
    typer.Option("--cluster", metavar="ID", help="Of an archive of several."),
]
OfHistory = Annotated[
    str | None,
    typer.Option("--history", metavar="ID", help="Another master's than the newest."),
]


def moment_of(
    to_offset: int | None, to_time: str | None, cluster: str | None, history: str | None
) -> Moment:
    """The moment that these options name; raises BadParameter."""
    if to_offset is not None and to_time is not None:
        raise typer.BadParameter("--to-offset and --to-time: give one of them")
    return Moment(
        None if to_offset is None else Offset(to_offset),
        None if to_time is None else _to_time_us(to_time),
        cluster,
        history,
    )


def _to_time_us(text: str) -> int:
    moment = read_time(text)
    if moment is None:
        raise typer.BadParameter(
            f"--to-time: {text!r} is no time; write it like 2026-11-28T12:00:00Z"
        )
    return time_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
