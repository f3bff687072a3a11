"""Carry what a browser has written from one request to its next.

MIDDLEWARE = ["nexus.django.middleware.ReadYourWrites", ...]
"""

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse

from nexus.django.positions import seen, written

COOKIE: Final = "nexus_offset"
COOKIE_AGE_S: Final = 60
"""A replica that lags for longer is found by its lag, not by cookies."""

MOST_OFFSET: Final = 2**63 - 1


class ReadYourWrites:
    """A cookie tells the next request which offset its reads must hold."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        seen(_offset(request.COOKIES.get(COOKIE, "")))
        before = written()
        response = self._get_response(request)
        after = written()
        if after > before:
            response.set_cookie(
                COOKIE,
                str(after),
                max_age=COOKIE_AGE_S,
                httponly=True,
                samesite="Lax",
            )
        return response


def _offset(text: str) -> int:
    """What a cookie says; a visitor's nonsense counts as nothing."""
    if not (text.isascii() and text.isdigit()):
        return 0
    return min(int(text[:20]), MOST_OFFSET)
