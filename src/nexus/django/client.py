"""`manage.py dbshell` opens `nexus sql`."""

import sys
from typing import Any

from django.db.backends.base.client import BaseDatabaseClient
from typing_extensions import override


class DatabaseClient(BaseDatabaseClient):
    """The shell of this installation, on the database of the settings."""

    executable_name = sys.executable

    @classmethod
    @override
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: list[str]
    ) -> tuple[list[str], None]:
        """The command line that opens it."""
        target = str(settings_dict["NAME"])
        return [cls.executable_name, "-m", "nexus", "sql", target, *parameters], None
