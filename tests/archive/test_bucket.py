"""An archive in a bucket: its server's refusals, and that no secret is shown."""

import pytest

from archive.buckets import ACCESS_KEY, S3, SECRET_KEY
from nexus.archive import bucket
from nexus.archive.opening import open_store
from nexus.errors import ArchiveUnavailableError


def test_a_bucket_that_is_not_there_is_unavailable_and_no_secret_is_shown(
    s3: S3,
) -> None:
    store = open_store("s3://no-such-bucket/prefix")

    with pytest.raises(ArchiveUnavailableError) as refused:
        store.put("c1/a", b"x")
    with pytest.raises(ArchiveUnavailableError, match="listing the archive s3://no-s"):
        list(store.list())

    said = str(refused.value)
    assert "writing to the archive s3://no-such-bucket/prefix failed" in said
    assert SECRET_KEY not in said
    assert ACCESS_KEY not in said
    assert len(said) < 600
    assert s3.url


def test_a_server_that_is_not_there_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(bucket, "RETRY_S", 0)
    store = open_store("s3://bucket")

    with pytest.raises(ArchiveUnavailableError, match="check its address"):
        store.get("c1/a")
    assert s3.url


def test_two_prefixes_of_one_bucket_know_nothing_of_each_other(s3: S3) -> None:
    name = s3.make_bucket()
    one, other = open_store(f"s3://{name}/one"), open_store(f"s3://{name}")

    one.put("c1/a", b"x")

    assert list(one.list()) == [("c1/a", 1)]
    assert list(other.list()) == [("one/c1/a", 1)]
