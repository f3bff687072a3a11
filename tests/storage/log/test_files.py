"""Which files the log's directory holds, whatever was interrupted."""

import os
from pathlib import Path

import pytest

from nexus.errors import CorruptLogError, StorageError
from nexus.model.position import Offset
from nexus.storage.log import files
from storage.logs import mounted

SIZE = 4096
EVERY = 256


def opened(directory: Path) -> list[int]:
    segments = files.open_directory(directory, size=SIZE, every=EVERY)
    return [segment.first_offset for segment in segments]


def add(directory: Path, first: int) -> None:
    files.prepare(directory, Offset(first), size=SIZE)
    files.publish(directory, Offset(first), every=EVERY)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_new_log_begins_with_entry_1(tmp_path: Path) -> None:
    assert opened(tmp_path / "deep" / "wal") == [1]
    assert names(tmp_path / "deep" / "wal") == ["00000000000000000001.wal"]


def test_segments_come_in_the_order_of_their_offsets(tmp_path: Path) -> None:
    for first in (1, 1000, 90):
        add(tmp_path, first)

    assert opened(tmp_path) == [1, 90, 1000]


def test_a_segment_that_never_got_its_name_is_none(tmp_path: Path) -> None:
    add(tmp_path, 1)
    files.prepare(tmp_path, Offset(90), size=SIZE)

    assert opened(tmp_path) == [1]
    assert names(tmp_path) == ["00000000000000000001.wal"]


def test_beginning_anew_leaves_one_segment(tmp_path: Path) -> None:
    add(tmp_path, 1)
    add(tmp_path, 90)
    files.prepare(tmp_path, Offset(50), size=SIZE)

    segment = files.publish_alone(tmp_path, Offset(50), every=EVERY)

    assert segment.first_offset == 50
    assert names(tmp_path) == ["00000000000000000050.wal"]


@pytest.mark.parametrize("removed", [[], [1], [90], [1, 90]])
def test_beginning_anew_is_finished_after_a_crash_at_any_step(
    tmp_path: Path, removed: list[int]
) -> None:
    add(tmp_path, 1)
    add(tmp_path, 90)
    files.prepare(tmp_path, Offset(90), size=SIZE)
    (tmp_path / "prepared.tmp").rename(tmp_path / "00000000000000000090.reset")
    for first in removed:
        (tmp_path / f"{first:020d}.wal").unlink()

    assert opened(tmp_path) == [90]
    assert names(tmp_path) == ["00000000000000000090.wal"]


def test_a_dropped_segment_is_gone(tmp_path: Path) -> None:
    add(tmp_path, 1)
    add(tmp_path, 90)

    files.drop(files.open_directory(tmp_path, size=SIZE, every=EVERY)[0])

    assert opened(tmp_path) == [90]


def test_an_older_segment_with_a_damaged_header_is_found_at_once(
    tmp_path: Path,
) -> None:
    add(tmp_path, 1)
    add(tmp_path, 90)
    os.truncate(tmp_path / "00000000000000000001.wal", 0)

    with pytest.raises(CorruptLogError, match=r"00000000000000000001\.wal"):
        opened(tmp_path)


def test_a_directory_that_is_not_writable_is_named(tmp_path: Path) -> None:
    directory = tmp_path / "wal"
    # Permissions do not bind root; a read-only file system does.
    with mounted(directory, "ro") as done:
        if not done:
            directory.chmod(0o500)
        with pytest.raises(StorageError, match=f"{directory} is not writable"):
            opened(directory)
        if not done:
            directory.chmod(0o700)
