"""`manage.py dbshell` opens `nexus sql`."""

import sys
from typing import Any, Final

from django.db.backends.base.client import BaseDatabaseClient
from typing_extensions import override

from nexus.client.target import TOKEN_VARIABLE

_SAID_BY: Final = {
    "ca_file": "NEXUS_CA_FILE",
    "cert_file": "NEXUS_CERT_FILE",
    "key_file": "NEXUS_KEY_FILE",
    "secret": TOKEN_VARIABLE,
    "token": TOKEN_VARIABLE,
}
"""Variables of the shell's environment for what OPTIONS may hold; the last one wins."""


class DatabaseClient(BaseDatabaseClient):
    """The shell of this installation, on the database of the settings."""

    executable_name = sys.executable

    @classmethod
    @override
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: list[str]
    ) -> tuple[list[str], dict[str, str] | None]:
        """The command line that opens it; what lets it in is not on it."""
        target = str(settings_dict["NAME"])
        command = [cls.executable_name, "-m", "nexus", "sql", target, *parameters]
        told = {"token": settings_dict.get("PASSWORD"), **settings_dict["OPTIONS"]}
        told["token"] = told["token"] or told.get("secret")
        environment = {
            variable: str(told[name])
            for name, variable in _SAID_BY.items()
            if told.get(name)
        }
        return command, environment or None
