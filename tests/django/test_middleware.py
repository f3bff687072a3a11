"""A browser reads what it wrote, also in its next request."""

from contextvars import copy_context
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from nexus.django.middleware import COOKIE, ReadYourWrites
from nexus.django.positions import needed


def answered(work: Any, cookie: str = "") -> Any:
    """What the middleware answers to a request during which `work` is called."""

    def view(_: object) -> HttpResponse:
        return HttpResponse(str(work()))

    request = RequestFactory().get("/")
    if cookie:
        request.COOKIES[COOKIE] = cookie
    return copy_context().run(ReadYourWrites(view), request)


def test_a_request_that_wrote_leaves_a_cookie(wrapper: Any) -> None:
    def write() -> None:
        with wrapper.cursor() as cursor:
            cursor.execute("create table t(a)")

    assert answered(write).cookies[COOKIE].value == "2"
    assert COOKIE not in answered(needed).cookies


@pytest.mark.parametrize(
    ("cookie", "wanted"),
    [
        ("41", "41"),
        ("x", "0"),
        ("-1", "0"),
        ("٣", "0"),
        ("9" * 4000, str(2**63 - 1)),
    ],
)
def test_the_next_request_needs_what_the_cookie_says(
    wrapper: Any, cookie: str, wanted: str
) -> None:
    wrapper.close()

    assert answered(needed, cookie).content == wanted.encode()
