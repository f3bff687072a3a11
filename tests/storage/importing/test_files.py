"""What is no database is called what it is, and nobody waits for it."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from nexus.errors import StorageError
from nexus.storage.importing.files import require_file


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.symlink_to("gone.db")


def device(path: Path) -> None:
    path.symlink_to(os.devnull)


def below_a_file(path: Path) -> None:
    path.symlink_to(Path(__file__) / "users.db")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (Path.mkdir, "is a directory, and"),
        (pipe, "is a named pipe, and"),
        (listening, "is a socket, and"),
        (device, "is a device, and"),
        (loop, "is a symbolic link that leads back to itself"),
        (dangling, "is a symbolic link to gone.db, which is gone"),
        (below_a_file, "cannot be reached: Not a directory"),
        (Path.touch, "is empty"),
        (lambda _: None, "there is no file users.db"),
    ],
)
def test_what_is_no_database_is_called_what_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], None],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path has few characters
    path = Path("users.db")
    make(path)

    with pytest.raises(StorageError, match=told):
        require_file(path)


def test_a_file_that_may_not_be_read_is_told_from_one_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "users.db"
    path.write_bytes(b"SQLite format 3\0")
    require_file(path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything

    with pytest.raises(StorageError, match="may not be read by this user"):
        require_file(path)


def test_a_kind_that_has_no_name_here_is_no_file_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = os.stat_result((0o150000, *[0] * 9))
    monkeypatch.setattr(Path, "stat", lambda _: found)

    with pytest.raises(StorageError, match="is no ordinary file, and"):
        require_file(tmp_path / "door")
