"""Log what a machine reports."""

import structlog

from nexus.replication.effects import Report

log = structlog.get_logger(__name__)


def report(effect: Report) -> None:
    """Log it at its level."""
    getattr(log, effect.level.value)(effect.event, detail=effect.detail)
