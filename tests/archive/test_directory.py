"""An archive in a directory: files that appear whole, and what a disk may refuse."""

import errno
import os
import resource
import time
from pathlib import Path

import pytest

from nexus.archive.directory import LEFT_S, DirectoryStore
from nexus.errors import ArchiveUnavailableError


def test_what_is_not_whole_has_no_name(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("c1/a", b"whole")
    (tmp_path / "c1" / ".part-1234").write_bytes(b"ha")

    assert list(store.list()) == [("c1/a", 5)]


def test_a_write_that_fails_leaves_the_old_object_and_no_part(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    (tmp_path / "c1" / "a").mkdir(parents=True)

    with pytest.raises(ArchiveUnavailableError, match="writing to the archive"):
        store.put("c1/a", b"new")

    assert [path.name for path in (tmp_path / "c1").iterdir()] == ["a"]


def test_a_full_disk_is_told_without_a_file_that_the_system_did_not_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(ArchiveUnavailableError, match="No space left on device; mend"):
        DirectoryStore(tmp_path).put("c1/a", b"new")


def test_a_disk_that_fills_up_in_mid_write_leaves_no_part_of_an_object(
    tmp_path: Path,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))  # no file is larger
    try:
        with pytest.raises(ArchiveUnavailableError, match="File too large"):
            DirectoryStore(tmp_path).put("c1/a", bytes((1 << 20) + 1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert list((tmp_path / "c1").iterdir()) == []


def test_a_file_on_the_same_disk_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "snapshot").write_bytes(b"much")

    DirectoryStore(tmp_path / "archive").put_file("c1/a", tmp_path / "snapshot")

    assert (tmp_path / "archive" / "c1" / "a").samefile(tmp_path / "snapshot")


def test_a_file_that_is_there_already_leaves_no_part(tmp_path: Path) -> None:
    (tmp_path / "snapshot").write_bytes(b"much")
    store = DirectoryStore(tmp_path / "archive")

    for _ in range(2):
        store.put_file("c1/a", tmp_path / "snapshot")

    assert [path.name for path in (tmp_path / "archive" / "c1").iterdir()] == ["a"]


def test_what_a_killed_process_has_left_is_removed_once_it_is_old(
    tmp_path: Path,
) -> None:
    old, young = tmp_path / "c1" / ".part-old", tmp_path / "c1" / ".part-young"
    old.parent.mkdir()
    old.touch()
    young.touch()
    long_ago_s = time.time() - LEFT_S - 60
    os.utime(old, (long_ago_s, long_ago_s))

    DirectoryStore(tmp_path).put("c1/a", b"new")

    assert {path.name for path in old.parent.iterdir()} == {".part-young", "a"}


def test_a_file_that_cannot_be_linked_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "snapshot"
    source.write_bytes(b"much")
    reader = os.open(source, os.O_RDONLY)
    try:
        # A link to another file system's file: what lies under /proc.
        DirectoryStore(tmp_path / "archive").put_file(
            "c1/a", Path(f"/proc/self/fd/{reader}")
        )
    finally:
        os.close(reader)

    assert (tmp_path / "archive" / "c1" / "a").read_bytes() == b"much"
    assert not (tmp_path / "archive" / "c1" / "a").is_symlink()


def test_a_file_in_the_directorys_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    store = DirectoryStore(tmp_path / "file")

    with pytest.raises(ArchiveUnavailableError, match="is no directory"):
        list(store.list())
    with pytest.raises(ArchiveUnavailableError, match="writing to"):
        store.put("c1/a", b"x")


def test_a_folder_that_cannot_be_read_is_an_error_and_not_empty(
    tmp_path: Path,
) -> None:
    (tmp_path / "c1").write_text("a file where a folder should be")

    with pytest.raises(ArchiveUnavailableError, match="listing the archive"):
        list(DirectoryStore(tmp_path).list("c1"))
    with pytest.raises(ArchiveUnavailableError, match="reading the archive"):
        DirectoryStore(tmp_path).get("c1/a")


def test_an_empty_folder_goes_with_its_last_object(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("c1/1-aa/a", b"x")

    store.delete(["c1/1-aa/a"])

    assert not (tmp_path / "c1" / "1-aa").exists()
    assert store.url == str(tmp_path)
