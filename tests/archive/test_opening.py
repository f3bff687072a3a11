"""Which store a URL names; odd names are taken as they are, or refused."""

from pathlib import Path

import pytest

from nexus.archive.bucket import BucketStore
from nexus.archive.directory import DirectoryStore
from nexus.archive.opening import (
    archive_directory,
    check_url,
    is_archive_url,
    open_store,
)
from nexus.errors import ArchiveError


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/backups/a", "/backups/a"),
        ("backups", "backups"),
        ("/with space/and 'quotes' \"too\"", "/with space/and 'quotes' \"too\""),
        ("/per%20cent?and#more", "/per%20cent?and#more"),
        ("../beside", "../beside"),
        ("file:///backups/a%20b%3F", "/backups/a b?"),
        ("file://localhost/x", "/x"),
        ("/é/日本", "/é/日本"),
    ],
)
def test_a_path_names_a_directory_whatever_is_in_it(url: str, path: str) -> None:
    assert archive_directory(url) == Path(path)
    assert isinstance(open_store(url), DirectoryStore)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "no kind that is known"),
        ("http://x/y", "no kind that is known"),
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3://bucket/a/../b", "part '.' or '..'"),
        ("s3://bucket/%2e%2e/b", "part '.' or '..'"),
        ("s3://bucket/a%0Ab", "control character"),
        ("s3://bucket/a?region=x", "write %3F"),
        ("s3://bucket/a#b", "write %3F"),
        ("file:///a#b", "write %3F"),
        ("file://elsewhere/a", "not on this machine"),
        ("file:relative", "not on this machine"),
        ("file:///a%00b", "control character"),
        ("/a\nb", "control characters"),
        ("/a\0b", "control characters"),
        ("s3://[bucket", "the archive's URL is none"),
    ],
)
def test_what_names_no_archive_is_refused_with_the_mend(
    url: str, complaint: str
) -> None:
    with pytest.raises(ArchiveError, match=complaint):
        check_url(url)


def test_credentials_in_a_url_are_refused_and_not_shown() -> None:
    for url in ("s3://key:hunter2@bucket/p", "s3://hunter2@bucket"):
        with pytest.raises(ArchiveError, match="in the environment") as refused:
            open_store(url)
        assert "hunter2" not in str(refused.value)


def test_a_url_is_told_from_a_path() -> None:
    assert is_archive_url("s3://bucket/prefix")
    assert is_archive_url("file:///x")
    assert not is_archive_url("/x/y.tar.zst")


@pytest.mark.parametrize("url", ["s3://bucket/some/prefix", "gs://bucket", "az://box"])
def test_buckets_of_every_cloud_are_opened_without_a_request(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")

    store = open_store(url)

    assert isinstance(store, BucketStore)
    assert store.url == url
