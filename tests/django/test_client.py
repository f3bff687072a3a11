"""`manage.py dbshell` opens the shell of this installation."""

import sys

from nexus.django.client import DatabaseClient


def test_the_shell_is_opened_on_the_database_of_the_settings() -> None:
    settings = {"NAME": "data", "OPTIONS": {}}

    command, environment = DatabaseClient.settings_to_cmd_args_env(settings, ["--csv"])

    assert command == [sys.executable, "-m", "nexus", "sql", "data", "--csv"]
    assert environment is None


def test_what_lets_the_shell_in_is_told_by_its_environment() -> None:
    settings = {
        "NAME": "nexus://a",
        "PASSWORD": "of the settings",
        "OPTIONS": {"ca_file": "ca.crt", "timeout": 3},
    }

    command, environment = DatabaseClient.settings_to_cmd_args_env(settings, [])

    assert command == [sys.executable, "-m", "nexus", "sql", "nexus://a"]
    assert environment == {
        "NEXUS_TOKEN": "of the settings",
        "NEXUS_CA_FILE": "ca.crt",
    }


def test_what_the_options_let_in_by_goes_before_the_password() -> None:
    settings = {"NAME": "nexus://a", "PASSWORD": "p", "OPTIONS": {"token": "t"}}
    other = {"NAME": "nexus://a", "OPTIONS": {"secret": "s"}}

    assert DatabaseClient.settings_to_cmd_args_env(settings, [])[1] == {
        "NEXUS_TOKEN": "t"
    }
    assert DatabaseClient.settings_to_cmd_args_env(other, [])[1] == {"NEXUS_TOKEN": "s"}
