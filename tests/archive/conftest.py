"""Stores for the tests of archives: a directory, and a bucket of a real S3 server."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from archive.azures import Azure, serving_azure
from archive.buckets import S3, serving_s3
from nexus.archive.directory import DirectoryStore
from nexus.archive.opening import open_store
from nexus.archive.stores import Store


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """moto's server on loopback, for the whole run."""
    with serving_s3() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The server, and the environment that leads there."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture(scope="session")
def azure_server() -> Iterator[Azure]:
    """Azurite on loopback, for the whole run."""
    with serving_azure() as server:
        yield server


@pytest.fixture
def azure(azure_server: Azure, monkeypatch: pytest.MonkeyPatch) -> Azure:
    """The server, and the environment that leads there."""
    for name, value in azure_server.environment.items():
        monkeypatch.setenv(name, value)
    return azure_server


AZURE = pytest.param("azure", marks=pytest.mark.campaign)
"""Its emulator takes minutes to install: `make clouds`."""


@pytest.fixture(params=["directory", "bucket", AZURE])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind; its name is odd."""
    if request.param == "directory":
        return DirectoryStore(tmp_path / "an 'odd' näme%20")
    if request.param == "azure":
        emulator: Azure = request.getfixturevalue("azure")
        return open_store(f"az://{emulator.make_container()}/an 'odd' näme%2520")
    server: S3 = request.getfixturevalue("s3")
    bucket = server.make_bucket()
    return open_store(f"s3://{bucket}/an 'odd' näme%2520/{uuid4().hex[:8]}")
