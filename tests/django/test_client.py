"""`manage.py dbshell` opens the shell of this installation."""

import sys

from nexus.django.client import DatabaseClient


def test_the_shell_is_opened_on_the_database_of_the_settings() -> None:
    settings = {"NAME": "data"}

    command, environment = DatabaseClient.settings_to_cmd_args_env(settings, ["--csv"])

    assert command == [sys.executable, "-m", "nexus", "sql", "data", "--csv"]
    assert environment is None
