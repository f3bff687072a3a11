"""When a file was made: a copy, however faithful, was made later."""

import ctypes
import shutil
from pathlib import Path

import pytest

from nexus.storage.birth import birth_of


def test_a_file_keeps_its_birth_through_writes_and_moves_and_a_copy_has_another(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    path.write_text("something")
    born = birth_of(path)
    path.write_text("something else")
    moved = path.rename(tmp_path / "moved")
    copied = Path(shutil.copy2(moved, path))
    assert born
    assert birth_of(moved) == born
    assert birth_of(copied) != born


class OlderLibrary:
    """Of a system that cannot tell."""

    def __init__(self, *_: object) -> None:
        pass


class SilentLibrary(OlderLibrary):
    """Its statx answers, and knows no birth."""

    answers = 0

    def statx(self, *_: object) -> int:
        return self.answers


class FailingLibrary(SilentLibrary):
    """Its statx is refused."""

    answers = -1


@pytest.mark.parametrize("library", [OlderLibrary, SilentLibrary, FailingLibrary])
def test_where_the_system_cannot_tell_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, library: type
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", library)
    assert birth_of(tmp_path) == ""
