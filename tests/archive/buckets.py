"""A real S3 server on loopback: moto's, in this process."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import httpx
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
ACCESS_KEY = "an-access-key"
SECRET_KEY = "hunter2-the-secret-key"


@dataclass(frozen=True)
class S3:
    """Where it listens."""

    url: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What clients of S3 read."""
        return environment_of(self.url)

    def make_bucket(self) -> str:
        """A new bucket's name."""
        name = f"bucket-{uuid4().hex[:12]}"
        httpx.put(f"{self.url}/{name}").raise_for_status()
        return name


def environment_of(url: str) -> Mapping[str, str]:
    """How a client is told of an S3 server at this URL."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
    }


@contextmanager
def serving_s3() -> Iterator[S3]:
    """The server, until the context ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3(f"http://{host}:{port}")
    finally:
        server.stop()
