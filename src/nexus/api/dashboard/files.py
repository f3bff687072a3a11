"""GET / and the files of its page: read once, and served with a strict policy.

Nothing on the page comes from elsewhere, and no script stands in it: the policy lets
it talk to its own node, and look whether the other nodes are alive.
"""

import re
import zlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from nexus.api.refusals import NoSuchCallError

PLACE: Final = "/dashboard/"
"""Under it are the page's files; the page itself is at `/`."""

TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "uPlot-LICENSE": "text/plain; charset=utf-8",
}
"""By the end of the name."""

_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+")


@cache
def page_files() -> dict[str, bytes]:
    """All files by their path; blocks once, for a few milliseconds."""
    return dict(_found(files(__package__) / "page", ""))


def _found(directory: Traversable, path: str) -> Iterable[tuple[str, bytes]]:
    for child in directory.iterdir():
        if child.is_dir():
            yield from _found(child, f"{path}{child.name}/")
        else:
            yield f"{path}{child.name}", child.read_bytes()


def page(urls: Iterable[str]) -> Response:
    """The page; `urls` are the nodes that it may have to move to."""
    response = _response("index.html")
    response.headers["Content-Security-Policy"] = _policy(urls)
    return response


async def page_file(request: Request) -> Response:
    """One of its files; NoSuchCallError where there is none."""
    path = request.path_params["file"]
    if path not in page_files() or path == "index.html":
        raise NoSuchCallError(f"the dashboard has no file {path[:80]!r}")
    response = _response(path)
    response.headers["Content-Security-Policy"] = "default-src 'none'"
    if request.headers.get("if-none-match") == response.headers["ETag"]:
        response.status_code, response.body = 304, b""
        del response.headers["Content-Length"]
    return response


def _response(path: str) -> Response:
    content = page_files()[path]
    kind = path.rpartition(".")[2].rpartition("/")[2]
    return Response(
        content,
        media_type=TYPES[kind],
        headers={
            "Cache-Control": "no-cache",
            "ETag": f'"{zlib.crc32(content):08x}-{len(content):x}"',
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Opener-Policy": "same-origin",
        },
    )


def _policy(urls: Iterable[str]) -> str:
    origins = sorted(
        origin for url in urls if _ORIGIN.fullmatch(origin := _origin(url))
    )
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            " ".join(("connect-src 'self'", *dict.fromkeys(origins))),
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"
