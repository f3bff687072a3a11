"""Errors that are told as SQLite tells them."""

import apsw

from nexus.errors.sqlite import interrupted, overtaken


def test_codes_are_sqlites_own() -> None:
    assert interrupted().sqlite_errorcode == apsw.SQLITE_INTERRUPT
    assert overtaken().sqlite_errorcode == apsw.SQLITE_BUSY_SNAPSHOT


def test_who_was_overtaken_is_told_what_to_do() -> None:
    assert str(overtaken()).startswith("database is locked")
    assert "begin it again, with BEGIN IMMEDIATE" in str(overtaken())
