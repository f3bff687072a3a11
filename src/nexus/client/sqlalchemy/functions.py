"""What SQLAlchemy has on SQLite as functions of Python's: for the setting `functions`.

functions = ["nexus.client.sqlalchemy.functions"]
"""

import re
from typing import Any


def register(connection: Any) -> None:
    """Have REGEXP, as `column.regexp_match(...)` asks for it; on every node."""
    connection.create_function("regexp", 2, matches, deterministic=True)


def matches(pattern: str, text: str | None) -> bool | None:
    """Whether the pattern is found anywhere in the text; NULL for NULL."""
    return None if text is None else re.search(pattern, text) is not None
