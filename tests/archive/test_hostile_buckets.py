"""A bucket that refuses, hangs, loses or truncates: told by name, and made good."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.buckets import S3, environment_of
from archive.hostile import HostileS3, hostile_before
from archive.keeping import keeper, rows_in
from nexus.archive import bucket
from nexus.archive.opening import open_store
from nexus.archive.stores import Store
from nexus.errors import ArchiveIncompleteError, ArchiveUnavailableError


@pytest.fixture
def proxy(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileS3]:
    """A proxy before the server, and the environment that leads there."""
    monkeypatch.setattr(bucket, "RETRY_S", 0)
    monkeypatch.setattr(bucket, "REQUEST_S", 2)
    with hostile_before(s3.url) as proxy:
        for name, value in environment_of(proxy.url).items():
            monkeypatch.setenv(name, value)
        yield proxy


@pytest.fixture
def store(proxy: HostileS3, s3: S3) -> Store:
    """A bucket behind the proxy."""
    assert proxy.url != s3.url
    return open_store(f"s3://{s3.make_bucket()}/p")


def test_a_bucket_that_refuses_takes_the_same_run_later(
    proxy: HostileS3, store: Store, tmp_path: Path
) -> None:
    with keeper(tmp_path, store) as master:
        master.snapshot()
        master.insert(3)
        proxy.refuses = True
        with pytest.raises(ArchiveUnavailableError, match="writing to the archive"):
            master.carry()
        with pytest.raises(ArchiveUnavailableError, match="listing the archive"):
            master.uploader.audit()
        proxy.refuses = False

        master.carry()

        master.assert_restorable()


def test_a_bucket_that_hangs_is_given_up_after_a_while(
    proxy: HostileS3, store: Store, tmp_path: Path
) -> None:
    with keeper(tmp_path, store) as master:
        master.snapshot()
        master.insert(3)
        proxy.flows.clear()
        with pytest.raises(ArchiveUnavailableError):
            master.carry()
        proxy.flows.set()

        master.carry()

        assert master.uploader.covered == master.last


def test_a_run_that_the_bucket_lost_is_noticed_and_carried_again(
    proxy: HostileS3, store: Store, tmp_path: Path
) -> None:
    with keeper(tmp_path, store) as master:
        master.snapshot()
        proxy.loses = 1
        master.insert(3)
        master.carry()
        master.insert(2)
        master.carry()
        with pytest.raises(ArchiveIncompleteError, match=r"entries 3 to 5 of cluster"):
            master.restored("copy")

        master.uploader.audit()
        master.carry()

        assert "has lost" in master.uploader.lost
        master.assert_restorable()


@pytest.mark.parametrize("kind", [".entries", ".snapshot", "history.json"])
def test_an_object_that_comes_back_cut_off_is_named_and_nothing_is_left(
    proxy: HostileS3, store: Store, tmp_path: Path, kind: str
) -> None:
    with keeper(tmp_path, store) as master:
        master.snapshot()
        master.insert(3)
        master.carry()
        proxy.truncates = kind

        with pytest.raises(Exception, match=rf"c1/[^ ]*{kind}"):
            master.restored("copy")
        assert not [path for path in tmp_path.iterdir() if "copy" in path.name]
        proxy.truncates = ""
        master.restored("copy")

        assert rows_in(tmp_path / "copy") == master.rows[master.last]
