"""Small HTTP servers that answer as nodes do: what the command line talks to."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from typing_extensions import override

Reply = tuple[int, Any]
Handler = Callable[[Any], Reply]


class FakeNode:
    """Answers each (method, path) with what `on` was given; remembers the requests."""

    def __init__(self) -> None:
        self.handlers: dict[tuple[str, str], Handler] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.authorizations: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.address}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def on(self, call: str, answer: Any, status: int = 200) -> Self:
        """Answer `GET /path` with this JSON, or with what this function returns."""
        method, path = call.split()
        handler: Handler = answer if callable(answer) else lambda _: (status, answer)
        self.handlers[method, path] = handler
        return self

    def problem(self, call: str, status: int, **problem: Any) -> Self:
        """Answer with an RFC 9457 problem."""
        return self.on(call, problem, status)

    def bodies(self, path: str) -> list[Any]:
        """The bodies that were posted to `path`."""
        return [body for method, asked, body in self.requests if asked == path]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        node = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                self._answer(json.loads(self.rfile.read(length) or b"null"))

            def do_DELETE(self) -> None:
                self._answer(None)

            @override
            def log_message(self, *_: object) -> None:
                pass

            def _answer(self, body: Any) -> None:
                node.requests.append((self.command, self.path, body))
                node.authorizations.append(self.headers.get("Authorization", ""))
                handler = node.handlers.get((self.command, self.path))
                missing = {"title": "No such call", "detail": f"no {self.path} here"}
                status, answer = handler(body) if handler else (404, missing)
                content = (
                    answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                )
                # A caller that gave up is no error here.
                with suppress(ConnectionError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

        return Answering


def node_status(role: str = "master", **changes: Any) -> dict[str, Any]:
    """What GET /replication/status says."""
    return {
        "role": role,
        "running": True,
        "mode": "async",
        "connected": True,
        "node_id": f"{role}-1",
        "cluster_id": "c1",
        "epoch": 3,
        "wal_offset": 1200,
        "durable_offset": 1200,
        "applied_offset": 1200,
        "commit_offset": 1200,
        "lag": 0,
        "lag_seconds": 0.0,
        "replica_count": 0,
        "master_id": "master-1",
        "master_url": "",
        "state": "streaming",
        "paused": False,
        "auto_failover": True,
        "has_database": True,
        "last_error": "",
    } | changes


def joined(master: FakeNode, *replicas: FakeNode) -> None:
    """Let them answer as one cluster: a master and its replicas."""
    master.on(
        "GET /replication/status",
        node_status(replica_count=len(replicas), master_url=master.url),
    )
    rows = [
        {"id": f"replica-{number}", "http_url": replica.url}
        for number, replica in enumerate(replicas, 1)
    ]
    master.on("GET /replication/replicas", {"replicas": rows})
    for row, replica in zip(rows, replicas, strict=True):
        status = node_status("replica", node_id=row["id"], master_url=master.url)
        replica.on("GET /replication/status", status)
