"""An archive in a bucket: its server's refusals, and that no secret is shown."""

from pathlib import Path

import pytest
from obstore.store import LocalStore

from archive.azures import Azure
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


def test_what_is_gone_already_keeps_nothing_else_from_being_deleted(
    tmp_path: Path,
) -> None:
    # This store says so of what is not there, as Google's and Azure's do.
    found = bucket.BucketStore("file", LocalStore(tmp_path))
    for name in ("a", "c", "d"):
        found.put(name, b"x")

    found.delete(["a", "b", "c"])

    assert [name for name, _ in found.list()] == ["d"]


def test_of_google_and_azure_another_server_may_be_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bucket, "RETRY_S", 0)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("AZURE_STORAGE_USE_EMULATOR", "true")
    monkeypatch.setenv("AZURITE_BLOB_STORAGE_URL", "http://127.0.0.1:1")

    for url in ("gs://bucket/prefix", "az://container/prefix"):
        with pytest.raises(ArchiveUnavailableError, match=r"http://127\.0\.0\.1:1/"):
            open_store(url).get("c1/a")


@pytest.mark.campaign
def test_a_container_of_azure_that_is_not_there_is_unavailable(azure: Azure) -> None:
    assert azure.url
    store = open_store("az://none/prefix")

    with pytest.raises(ArchiveUnavailableError, match="writing to the archive az://no"):
        store.put("c1/a", b"x")


def test_two_prefixes_of_one_bucket_know_nothing_of_each_other(s3: S3) -> None:
    name = s3.make_bucket()
    one, other = open_store(f"s3://{name}/one"), open_store(f"s3://{name}")

    one.put("c1/a", b"x")

    assert list(one.list()) == [("c1/a", 1)]
    assert list(other.list()) == [("one/c1/a", 1)]
