"""An archive in a bucket: S3 and what speaks like it, Google Cloud Storage, Azure.

Credentials, region and endpoint come from the environment, as each cloud's own tools
read them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS,
AZURE_STORAGE_ACCOUNT_NAME, …) or from the machine's role. None is kept or shown here.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from nexus.archive.stores import Store
from nexus.errors import (
    ArchiveError,
    ArchiveIncompleteError,
    ArchiveUnavailableError,
)

PART_BYTES: Final = 8 << 20
"""Of a large object; some parts travel at once."""

PARTS_AT_ONCE: Final = 2

REQUEST_S: Final = 30
CONNECT_S: Final = 5
RETRY_S: Final = 10
"""For a short trouble; a longer one is told, and tried again by whoever waits."""

RETRIES: Final = 3

_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_GCS_ENDPOINT: Final = "STORAGE_EMULATOR_HOST"
"""As Google's own libraries read it: a URL of another server than Google's."""
_AZURE_EMULATED: Final = "AZURE_STORAGE_USE_EMULATOR"
_MOST_TEXT: Final = 300


def open_bucket(url: str) -> Store:
    """The store of an s3://, gs:// or az:// URL; raises ArchiveError."""
    try:
        import obstore.store  # noqa: PLC0415
    except ImportError as error:
        raise ArchiveError(
            "an archive in a bucket needs a library that is not installed: pip install "
            "'nexus-sqlite[archive]'; an archive in a directory needs none"
        ) from error
    parts = urlsplit(url)
    name, endpoint, options = _service(parts.scheme.lower())
    client: dict[str, Any] = {
        "timeout": timedelta(seconds=REQUEST_S),
        "connect_timeout": timedelta(seconds=CONNECT_S),
    }
    if endpoint.startswith("http://"):
        client["allow_http"] = True  # of one's own network
    prefix = unquote(parts.path).strip("/")
    with _available(url, "opening"):
        store = getattr(obstore.store, name)(
            parts.netloc,
            prefix=prefix or None,
            client_options=client,
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": timedelta(seconds=RETRY_S),
            },
            **options,
        )
    return BucketStore(url, store)


def _service(scheme: str) -> tuple[str, str, dict[str, Any]]:
    """The library's class, the server where it is another, and what says so."""
    match scheme:
        case "gs":
            endpoint = os.environ.get(_GCS_ENDPOINT, "")
            told = {"service_account_key": _no_account(endpoint)} if endpoint else {}
            return "GCSStore", endpoint, told
        case "s3" | "s3a":
            named = (os.environ.get(name, "") for name in _ENDPOINTS)
            endpoint = next(filter(None, named), "")
            return "S3Store", endpoint, {"endpoint": endpoint} if endpoint else {}
        case _:
            emulated = os.environ.get(_AZURE_EMULATED, "").lower() in ("1", "true")
            return "AzureStore", "http://" if emulated else "", {}


def _no_account(endpoint: str) -> str:
    """What leads to a server that speaks like Google's, and asks for no account."""
    account = {
        "gcs_base_url": endpoint.rstrip("/"),
        "disable_oauth": True,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    }
    return json.dumps(account)


class BucketStore:
    """Objects of one bucket below a prefix."""

    def __init__(self, url: str, store: Any) -> None:
        """`store` is one of obstore's."""
        import obstore  # noqa: PLC0415

        self._url = url
        self._store = store
        self._library: Any = obstore

    @property
    def url(self) -> str:
        """As it was given: it holds no secret."""
        return self._url

    def put(self, name: str, data: bytes) -> None:
        """One request."""
        with _available(self._url, "writing to"):
            self._library.put(self._store, name, data, use_multipart=False)

    def put_file(self, name: str, path: Path) -> None:
        """In parts; the object appears when all of them are there."""
        with _available(self._url, "writing to"):
            self._library.put(
                self._store,
                name,
                path,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )

    def get(self, name: str) -> bytes:
        """All of an object."""
        with _available(self._url, "reading"), self._found(name):
            return bytes(self._library.get(self._store, name).bytes())

    def stream(self, name: str) -> Iterator[bytes]:
        """As it arrives."""
        with _available(self._url, "reading"), self._found(name):
            for block in self._library.get(self._store, name):
                yield bytes(block)

    def list(self, folder: str = "") -> Iterator[tuple[str, int]]:
        """A thousand at a time."""
        with _available(self._url, "listing"):
            for batch in self._library.list(self._store, folder or None):
                for found in batch:
                    yield found["path"], found["size"]

    def delete(self, names: Iterable[str]) -> None:
        """A thousand at once."""
        with _available(self._url, "deleting in"):
            if not (wanted := list(names)):
                return
            try:
                self._library.delete(self._store, wanted)
            except FileNotFoundError:
                # Google and Azure say so where S3 does not, and may have left others.
                for name in wanted:
                    with suppress(FileNotFoundError):
                        self._library.delete(self._store, name)

    @contextmanager
    def _found(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise ArchiveIncompleteError(
                f"the archive {self._url} has no object {name}"
            ) from None


@contextmanager
def _available(url: str, doing: str) -> Iterator[None]:
    """Raise what the library does as ours; its errors are of many kinds."""
    try:
        yield
    except ArchiveError:
        raise
    except Exception as error:  # noqa: BLE001 - the library's kinds are many
        raise ArchiveUnavailableError(
            f"{doing} the archive {url} failed: {_brief(error)}; check its address, "
            "the credentials in the environment, and the network"
        ) from None


def _brief(error: Exception) -> str:
    """The gist of a message that may run over many lines and name every header."""
    text = " ".join(str(error).split("\n\nDebug source")[0].split())
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"
