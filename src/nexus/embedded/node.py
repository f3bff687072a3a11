"""A node inside this process: an event loop in a thread of its own.

with nexus.open("data/", role="master", bind="127.0.0.1:15475") as node:
    with node.connect() as connection:
        connection.execute("insert into t values (?)", (1,))
"""

import asyncio
import threading
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import uvloop

from nexus.client.connecting import in_this_process
from nexus.client.connection import Connection
from nexus.client.exceptions import translated
from nexus.config import Config, load
from nexus.embedded.session import NodeSession
from nexus.errors import NodeStoppedError, RequestError
from nexus.model.cluster import NodeStatus
from nexus.model.position import Offset, Position
from nexus.node.lasting import LastingExecutor
from nexus.node.node import Node

STOP_TIMEOUT_S: Final = 30.0
"""How long `close` waits for the node to stop in order."""


class EmbeddedNode:
    """A running node; closing it stops it in order."""

    def __init__(self, config: Config) -> None:
        # Before the thread, which nobody would end if the node refused its settings.
        self._node = Node(config)
        self._node.http_addr = ""  # nothing listens there for this one
        self._closed = False
        self._loop = uvloop.new_event_loop()
        self._loop.set_default_executor(LastingExecutor())
        self._thread = threading.Thread(
            target=self._run_loop, name="nexus-loop", daemon=True
        )
        self._thread.start()
        try:
            self._wait(self._node.start())
        except BaseException:
            self._stop_loop()
            raise
        self._directories: list[Path] = []
        for node in (self._node, *self._node.named.values()):
            directory = node.config.data_dir.resolve()
            self._directories.append(directory)
            in_this_process[directory] = partial(NodeSession, node)

    @property
    def node(self) -> Node:
        """The node itself; its coroutines run on its own loop."""
        return self._node

    def connect(self, database: str = "", **options: Any) -> Connection:
        """A DB-API 2.0 connection; `options` are those of `nexus.Connection`.

        `database` is a named one of this node; empty: the main one.
        """
        if self._closed:
            raise translated(NodeStoppedError("this node is closed; open it again"))
        node = self._node.named.get(database) if database else self._node
        if node is None:
            raise translated(RequestError(f"this node has no database {database!r}"))
        return Connection(NodeSession(node), **options)

    def status(self) -> NodeStatus:
        """The same as GET /replication/status."""
        status: NodeStatus = self._wait(self._on_loop(self._node.status))
        return status

    def wait_for(
        self, position: Position | Offset | int | None, timeout: float = 10.0
    ) -> None:
        """Return once this node has applied `position`: read your own write.

        An offset will do. Raises TimeoutError when it has not by then. None returns at
        once.
        """
        if position is not None:
            offset = position.offset if isinstance(position, Position) else position
            self._wait(self._node.wait_applied(Offset(offset), timeout_s=timeout))

    def close(self) -> None:
        """Stop the node: nothing is acknowledged after this that is not durable."""
        if self._closed:
            return
        self._closed = True
        for directory in self._directories:
            in_this_process.pop(directory, None)
        try:
            self._wait(self._node.stop(), timeout=STOP_TIMEOUT_S)
        finally:
            self._stop_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _on_loop(self, call: Any) -> Any:
        return call()

    def _wait(
        self, work: Coroutine[Any, Any, Any], timeout: float | None = None
    ) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def open_node(
    data_dir: str | Path,
    *,
    role: str = "standalone",
    bind: str | None = None,
    master: str | None = None,
    **settings: Any,
) -> EmbeddedNode:
    """Start a node in this process; `nexus.open`.

    `settings` are the keys of the configuration, with `__` for the dot, as in
    `replication__heartbeat_ms=100`. Raises ConfigurationError, StorageError.
    """
    flags: dict[str, Any] = {"data_dir": str(data_dir), "replication.role": role}
    if bind is not None:
        flags["replication.bind_addr"] = bind
    if master is not None:
        flags["replication.master_addr"] = master
    for name, value in settings.items():
        flags[name.replace("__", ".")] = value
    return EmbeddedNode(load(None, {}, flags))
