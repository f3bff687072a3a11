"""Only what must change hinders an import."""

from typing import Literal

import pytest

from nexus.storage.importing.findings import Finding, Report


@pytest.mark.parametrize(
    ("level", "ok"), [("ok", True), ("cared", True), ("look", True), ("change", False)]
)
def test_what_must_change_hinders_an_import_and_nothing_else(
    level: Literal["ok", "cared", "look", "change"], *, ok: bool
) -> None:
    report = Report([Finding("ok", "t", "replicates"), Finding(level, "u", "so")])

    assert report.ok is ok
