"""A proxy before an S3 server that refuses, hangs, loses and truncates as told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from typing_extensions import override

LONGEST_S = 30.0
HOP = frozenset({"connection", "transfer-encoding", "content-encoding"})


class HostileS3:
    """Passes requests on, unless it was told otherwise."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.refuses = False
        self.loses = 0
        """So many of the next runs are answered with 200 and dropped."""
        self.truncates = ""
        """Objects whose name ends so come back cut off, with a matching length."""
        self.flows = threading.Event()
        self.flows.set()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, request: BaseHTTPRequestHandler) -> tuple[int, Any, bytes]:
        """Status, headers and body."""
        body = request.rfile.read(int(request.headers.get("content-length", 0)))
        self.flows.wait(LONGEST_S)
        if self.refuses:
            return 503, {}, b"<Error><Code>SlowDown</Code></Error>"
        path = request.path.partition("?")[0]
        if self.loses and request.command == "PUT" and path.endswith(".entries"):
            self.loses -= 1
            return 200, {"ETag": '"0"'}, b""
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP}
        passed = httpx.request(
            request.command, self.target + request.path, headers=headers, content=body
        )
        found = passed.content
        cut = self.truncates and path.endswith(self.truncates)
        if cut and request.command == "GET":
            found = found[: len(found) // 2]
        return passed.status_code, passed.headers, found


def _handler(proxy: HostileS3) -> type[BaseHTTPRequestHandler]:
    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            status, headers, body = proxy.answer(self)
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in HOP | {"content-length"}:
                    self.send_header(name, value)
            if self.command == "HEAD":
                self.send_header("Content-Length", headers.get("content-length", "0"))
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815

        @override
        def log_message(self, *_: object) -> None:
            pass

    return Passing


@contextmanager
def hostile_before(target: str) -> Iterator[HostileS3]:
    """The proxy, until the context ends."""
    proxy = HostileS3(target)
    thread = threading.Thread(target=proxy.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield proxy
    finally:
        proxy.flows.set()
        proxy.server.shutdown()
        proxy.server.server_close()
        thread.join()
