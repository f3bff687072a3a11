"""Pass a replica's write on to its master, and its answer back as it is."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final

import httpx
from starlette.responses import Response

from nexus.api.facade import NodeFacade
from nexus.api.refusals import AnswerLostError
from nexus.errors import NexusError, NoMasterError, ReadOnlyReplicaError

HEADER: Final = "Nexus-Forwarded-By"
"""Names the node that passed the write on; such a write is not passed on again."""

CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 60.0
"""A large transaction takes its time; after this its outcome is unknown."""

CONNECTIONS: Final = 64
"""Writes that are passed on at once; the others wait for their turn."""

IDLE_S: Final = 5.0
"""Shorter than a server's: a reused connection must not close under a write."""

PASSED_BACK: Final = ("content-type", "retry-after", "www-authenticate")

# Raised before a byte of the request is sent.
_UNSENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
)


class Forwarder:
    """Sends writes to masters over connections that are kept for the next ones."""

    def __init__(
        self, node: NodeFacade, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._node = node
        self._transport = transport
        self._tls: ssl.SSLContext | None = None
        self._tls_lock = asyncio.Lock()
        self._slots = asyncio.Semaphore(CONNECTIONS)
        # A client for each connection: a pool of httpx looks at all its connections,
        # with a system call each, for every request.
        self._idle: list[httpx.AsyncClient] = []

    async def forward(
        self, error: ReadOnlyReplicaError, headers: Mapping[bytes, bytes], body: bytes
    ) -> Response:
        """The master's answer to this POST /sql.

        Raises NoMasterError where nothing was sent, AnswerLostError where the write
        may have been done.
        """
        if HEADER.lower().encode() in headers:
            raise NoMasterError(
                f"{headers[HEADER.lower().encode()].decode('latin-1')} passed this "
                "write on to this node, which is a replica: the roles are changing"
            )
        if not error.master_url:
            raise NoMasterError(f"{error}; this replica knows no master just now")
        url = f"{error.master_url.rstrip('/')}/sql"
        try:
            answer = await self._post(url, body)
        except _UNSENT as failure:
            raise NoMasterError(
                f"the master at {error.master_url} cannot be reached ({_told(failure)})"
            ) from failure
        except httpx.HTTPError as failure:
            raise _lost(error.master_url, failure) from failure
        return Response(
            answer.content,
            status_code=answer.status_code,
            headers={
                name: answer.headers[name]
                for name in PASSED_BACK
                if name in answer.headers
            },
        )

    async def _post(self, url: str, body: bytes) -> httpx.Response:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._slots.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout(f"{CONNECTIONS} writes are on their way") from None
        try:
            client = self._idle.pop() if self._idle else await self._new_client()
            try:
                return await client.post(url, content=body)
            finally:
                self._idle.append(client)
        finally:
            self._slots.release()

    async def _new_client(self) -> httpx.AsyncClient:
        async with self._tls_lock:
            if self._tls is None:
                # Reading the certificates takes tens of milliseconds.
                self._tls = await asyncio.to_thread(ssl.create_default_context)
        headers = {"Content-Type": "application/json", HEADER: self._node.node_id}
        if secret := self._node.config.cluster_secret:
            headers["Authorization"] = f"Bearer {secret}"
        return httpx.AsyncClient(
            headers=headers,
            transport=self._transport,
            verify=self._tls,
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=1, keepalive_expiry=IDLE_S),
            # A proxy of the environment is not meant for the cluster's own traffic.
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        for client in self._idle:
            await client.aclose()
        self._idle.clear()


def _lost(master_url: str, failure: httpx.HTTPError) -> NexusError:
    return AnswerLostError(
        f"the write was passed on to the master at {master_url}, but no answer came "
        f"back ({_told(failure)}): it may be done or not"
    )


def _told(failure: Exception) -> str:
    return str(failure) or type(failure).__name__
