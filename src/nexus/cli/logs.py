"""The lines that a node logs on standard error: for people, or one JSON object each.

Every line says which node, epoch and end of the log it is from; a fault that repeats is
told a few times, and then how often it was left out.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TextIO, cast

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from nexus.cli.outlet import Outlet
from nexus.config.settings import LogSettings

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}

FIRST_KEYS: Final = (
    "timestamp",
    "level",
    "event",
    "node",
    "database",
    "epoch",
    "offset",
)
"""In this order on every line; what the event says more follows.

`database` stands only where a named one is meant."""

SPAN_S: Final = 10.0
MOST_A_SPAN: Final = 10
"""Of one event that needs an eye, so many lines within SPAN_S."""

Place = Callable[[], Mapping[str, Any]]


def nowhere() -> Mapping[str, Any]:
    """Where a line is from before there is a node."""
    return {}


def configure_logs(settings: LogSettings, *, as_json: bool, place: Place) -> None:
    """Send the lines of structlog and of libraries to standard error.

    `place` tells of each line which node it is from; any thread may ask it.
    """
    lines = settings.format
    if lines == "auto":
        lines = "human" if sys.stderr.isatty() and not as_json else "json"
    level = LEVELS[settings.level]
    shape: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        Limiter(time.monotonic),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        Located(place),
        structlog.processors.format_exc_info,
    ]
    render, outlet = _renderer(lines), Outlet(sys.stderr)
    structlog.configure(
        processors=[*shape, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", outlet)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(outlet)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shape,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                render,
            ],
        )
    )
    level = max(level, logging.WARNING)
    logging.basicConfig(handlers=[handler], level=level, force=True)


def _renderer(lines: str) -> Processor:
    if lines == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False)


class Located:
    """Adds where a line is from; what the event itself says of that stands."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        """The same line, with its keys in their order."""
        known = {**self._place(), **event}
        return {key: known.pop(key) for key in FIRST_KEYS if key in known} | known


class Limiter:
    """Drops what has been said often enough within a span; from any thread."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._spans: dict[str, tuple[float, int]] = {}
        """Of each event: when its span began, and how many there were since."""

    def __call__(self, _: WrappedLogger, level: str, event: EventDict) -> EventDict:
        """The same line; raises DropEvent for one too many."""
        if level == "info":  # what happens as it should is rare, or asked for
            return event
        name, now_s = str(event.get("event")), self._now_s()
        with self._lock:
            began_s, count = self._spans.get(name, (now_s, 0))
            if now_s - began_s >= SPAN_S:
                event = {**event, **_left_out(count)}
                began_s, count = now_s, 0
            self._spans[name] = began_s, count + 1
        if count >= MOST_A_SPAN:
            raise structlog.DropEvent
        return event


def _left_out(count: int) -> dict[str, int]:
    """What the first line of a span says of the one before."""
    return {"left_out": count - MOST_A_SPAN} if count > MOST_A_SPAN else {}
