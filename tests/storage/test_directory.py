"""The data directory: its names, and the one process that owns it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nexus.errors import DataDirectoryLockedError, DiskFullError, StorageError
from nexus.storage.directory import DataDirectory, DirectoryLock
from storage.logs import file_size_limit

HOLDER = """
import sys
from pathlib import Path
from nexus.storage.directory import DataDirectory, DirectoryLock
lock = DirectoryLock.acquire(DataDirectory(Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    made = DataDirectory(tmp_path / "data")
    made.create()
    return made


def test_a_new_directory_has_its_folders_and_making_it_twice_is_harmless(
    tmp_path: Path,
) -> None:
    directory = DataDirectory(tmp_path / "a" / "b")

    directory.create()
    directory.database.write_bytes(b"precious")
    directory.create()

    assert directory.database.read_bytes() == b"precious"
    folders = (directory.wal, directory.snapshots, directory.diverged)
    assert all(folder.is_dir() for folder in folders)


def test_all_names_lie_in_the_directory_and_differ(directory: DataDirectory) -> None:
    names = [
        directory.database,
        directory.catalog,
        directory.wal,
        directory.snapshots,
        directory.diverged,
        directory.lock,
    ]

    assert {name.parent for name in names} == {directory.root}
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["data", "data/wal"])
def test_a_file_in_the_way_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()

    with pytest.raises(StorageError, match=f"{tmp_path}/{name}.*--data-dir"):
        DataDirectory(tmp_path / "data").create()


def test_a_second_owner_is_refused_and_told_who_the_first_is(
    directory: DataDirectory,
) -> None:
    lock = DirectoryLock.acquire(directory)

    for _ in range(2):
        with pytest.raises(DataDirectoryLockedError, match=f"process {os.getpid()};"):
            DirectoryLock.acquire(directory)

    lock.release()
    DirectoryLock.acquire(directory).release()


def test_the_end_of_the_owner_by_any_means_frees_the_directory(
    directory: DataDirectory,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DataDirectoryLockedError, match=f"process {holder.pid};"):
            DirectoryLock.acquire(directory)
        holder.send_signal(signal.SIGKILL)
        holder.wait()

        DirectoryLock.acquire(directory).release()


def test_a_program_that_the_owner_started_does_not_hold_the_directory(
    directory: DataDirectory,
) -> None:
    lock = DirectoryLock.acquire(directory)
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, close_fds=False):
        lock.release()

        DirectoryLock.acquire(directory).release()


def test_an_owner_that_wrote_no_number_is_unknown(directory: DataDirectory) -> None:
    lock = DirectoryLock.acquire(directory)
    directory.lock.write_bytes(b"")

    with pytest.raises(DataDirectoryLockedError, match="process unknown"):
        DirectoryLock.acquire(directory)
    lock.release()


def test_a_lock_that_cannot_be_made_is_an_error_that_names_the_directory(
    directory: DataDirectory,
) -> None:
    directory.lock.mkdir()

    with pytest.raises(StorageError, match=f"cannot write in {directory.root}"):
        DirectoryLock.acquire(directory)


def test_a_full_disk_is_told_and_leaves_the_directory_free(
    directory: DataDirectory,
) -> None:
    with file_size_limit(0), pytest.raises(DiskFullError, match="lock"):
        DirectoryLock.acquire(directory)

    DirectoryLock.acquire(directory).release()
