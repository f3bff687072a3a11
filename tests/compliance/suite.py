"""SQLAlchemy's compliance suite, whole."""

from sqlalchemy.testing.suite import *  # noqa: F403 - this is how a dialect takes it
