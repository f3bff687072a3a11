"""The shape of a line, and how many there are."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from nexus.cli.logs import MOST_A_SPAN, SPAN_S, Limiter, configure_logs, nowhere
from nexus.config.settings import LogSettings

PLACE = {"node": "n1", "epoch": 3, "offset": 17}
AS_JSON = LogSettings(format="json")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    before, root.handlers[:] = list(root.handlers), []
    yield
    root.handlers[:] = before
    root.setLevel(logging.WARNING)
    structlog.reset_defaults()


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    output, error = capsys.readouterr()
    assert output == ""
    return [json.loads(line) for line in error.splitlines()]


def test_a_line_is_an_object_whose_first_keys_are_always_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(AS_JSON, as_json=False, place=lambda: PLACE)

    structlog.get_logger().warning("master_lost", reason="no route to 'höst'")

    (line,) = told(capsys)
    first = ["timestamp", "level", "event", "node", "epoch", "offset", "reason"]
    assert list(line) == first
    assert line | PLACE == line
    assert line["reason"] == "no route to 'höst'"


def test_what_the_event_says_of_its_place_stands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(AS_JSON, as_json=False, place=lambda: PLACE)

    structlog.get_logger().info("reign_began", epoch=9)

    assert told(capsys)[0]["epoch"] == 9


def test_below_the_level_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(
        LogSettings(format="json", level="warning"), as_json=False, place=nowhere
    )

    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")

    assert [line["event"] for line in told(capsys)] == ["loud"]


@pytest.mark.parametrize(
    ("settings", "as_json"),
    [(LogSettings(), False), (LogSettings(), True), (AS_JSON, False)],
)
def test_without_a_terminal_lines_are_json(
    capsys: pytest.CaptureFixture[str], settings: LogSettings, *, as_json: bool
) -> None:
    configure_logs(settings, as_json=as_json, place=nowhere)

    structlog.get_logger().info("said")

    assert told(capsys)[0]["event"] == "said"


def test_on_a_terminal_lines_are_for_people(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    configure_logs(LogSettings(), as_json=False, place=lambda: PLACE)

    structlog.get_logger().info("said")

    assert "\x1b[" in capsys.readouterr().err


def test_what_libraries_log_has_the_same_shape(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(AS_JSON, as_json=False, place=lambda: PLACE)

    logging.getLogger("asyncio").error("a task failed: %s", "boom")

    (line,) = told(capsys)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line["event"] == "a task failed: boom"
    assert line["node"] == "n1"


def test_what_is_unexpected_brings_its_traceback_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(AS_JSON, as_json=False, place=nowhere)

    structlog.get_logger().error("request_failed", exc_info=ValueError("odd"))

    (line,) = told(capsys)
    assert "ValueError: odd" in line["exception"]


def test_a_fault_that_repeats_is_told_a_few_times_then_counted() -> None:
    clock = [0.0]
    limiter = Limiter(lambda: clock[0])

    def say(level: str = "warning", name: str = "master_lost") -> Any:
        try:
            return limiter(None, level, {"event": name})
        except structlog.DropEvent:
            return None

    first = [say() for _ in range(MOST_A_SPAN + 3)]
    assert first.count(None) == 3
    assert say(name="another") is not None
    clock[0] = SPAN_S
    assert say() == {"event": "master_lost", "left_out": 3}
    assert say() == {"event": "master_lost"}


def test_what_happens_as_it_should_is_never_left_out() -> None:
    limiter = Limiter(lambda: 0.0)

    told = [limiter(None, "info", {"event": "x"}) for _ in range(10 * MOST_A_SPAN)]

    assert len(told) == 10 * MOST_A_SPAN


def test_a_line_of_a_named_database_names_it_behind_the_node(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(AS_JSON, as_json=False, place=lambda: PLACE)

    with structlog.contextvars.bound_contextvars(database="orders"):
        structlog.get_logger().info("reign_began")

    (line,) = told(capsys)
    assert list(line)[3:] == ["node", "database", "epoch", "offset"]
    assert line["database"] == "orders"
