"""A real Azurite on loopback: Microsoft's emulator of Azure's blob storage."""

import base64
import datetime as dt
import hashlib
import hmac
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx

from e2e.cluster import free_port

PROGRAM: Final = Path(sys.prefix) / "azurite/node_modules/azurite/dist/src/blob/main.js"
PATIENCE_S: Final = 60.0
VERSION: Final = "2021-08-06"
ACCOUNT: Final = "devstoreaccount1"
KEY: Final = base64.b64decode(
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/"
    "K1SZFPTOtr/KBHBeksoGMGw=="
)
"""Of every emulator; Microsoft publishes both."""


@dataclass(frozen=True)
class Azure:
    """Where it listens."""

    url: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What clients of Azure read."""
        return {
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": self.url,
        }

    def make_container(self) -> str:
        """A new container's name."""
        name = f"container-{uuid4().hex[:12]}"
        now = dt.datetime.now(dt.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        signed = (
            "PUT" + "\n" * 12 + f"x-ms-date:{now}\nx-ms-version:{VERSION}\n"
            f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        )
        digest = hmac.new(KEY, signed.encode(), hashlib.sha256).digest()
        proof = base64.b64encode(digest).decode()
        headers = {
            "x-ms-date": now,
            "x-ms-version": VERSION,
            "Authorization": f"SharedKey {ACCOUNT}:{proof}",
        }
        url = f"{self.url}/{ACCOUNT}/{name}?restype=container"
        httpx.put(url, headers=headers).raise_for_status()
        return name


@contextmanager
def serving_azure() -> Iterator[Azure]:
    """The emulator, with what it holds in memory, until the context ends."""
    node = shutil.which("node")
    assert node, "this test needs Node: apt-get install nodejs npm"
    assert PROGRAM.exists(), "this test needs Azurite: make clouds installs it"
    port = free_port()
    listens = ("--blobHost", "127.0.0.1", "--blobPort", str(port))
    quiet = ("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry")
    process = subprocess.Popen(
        [node, str(PROGRAM), *listens, *quiet, "--silent"], stdout=subprocess.DEVNULL
    )
    azure = Azure(f"http://127.0.0.1:{port}")
    try:
        _until_it_answers(azure.url)
        yield azure
    finally:
        process.terminate()
        process.wait()


def _until_it_answers(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            httpx.get(url)
        except httpx.TransportError:
            assert time.monotonic() < deadline, "Azurite does not listen"
            time.sleep(0.1)
        else:
            return
