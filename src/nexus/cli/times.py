"""Times as they are written on a command line, and printed."""

from datetime import UTC, datetime, timedelta


def read_time(text: str) -> datetime | None:
    """What `fromisoformat` reads, perhaps without a zone; None: it is no time."""
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None


def time_us(moment: datetime) -> int:
    """Microseconds since 1970, exactly; the moment has its zone."""
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


def said_time(time_us: int) -> str:
    """A time as --to-time takes it."""
    moment = datetime.fromtimestamp(time_us / 1_000_000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
