"""What a machine reports is a line of the log."""

from structlog.testing import capture_logs

from nexus.node.reporting import report
from nexus.replication.effects import Level, Report


def test_a_report_is_logged_at_its_level() -> None:
    with capture_logs() as lines:
        report(Report(Level.WARNING, "something", "of note"))

    assert lines == [
        {"event": "something", "detail": "of note", "log_level": "warning"}
    ]
