"""Which moment of an archive is meant: options that restore and verify share."""

from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from nexus.archive.restoring import Moment
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

_MICROSECONDS: Final = 1_000_000


def moment_of(
    to_offset: int | None, to_time: str | None, cluster: str | None, history: str | None
) -> Moment:
    """The moment that these options name; raises BadParameter."""
    if to_offset is not None and to_time is not None:
        raise typer.BadParameter("--to-offset and --to-time: give one of them")
    return Moment(
        None if to_offset is None else Offset(to_offset),
        None if to_time is None else _microseconds(to_time),
        cluster,
        history,
    )


def _microseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(
            f"--to-time: {text!r} is no time; write it like 2026-11-28T12:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * _MICROSECONDS + since.microseconds


def said_time(time_us: int) -> str:
    """A time as --to-time takes it."""
    moment = datetime.fromtimestamp(time_us / _MICROSECONDS, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
