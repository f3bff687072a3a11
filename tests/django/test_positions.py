"""What a client has written is known to the rest of its work."""

from contextvars import copy_context
from typing import Any

from nexus.django.positions import applied, needed, seen, written


def write(wrapper: Any, sql: str = "create table t(a)") -> None:
    with wrapper.cursor() as cursor:
        cursor.execute(sql)


def test_a_write_is_needed_afterwards(wrapper: Any) -> None:
    assert written() == 0
    write(wrapper)

    assert written() == needed() == 2
    assert applied("default") == 2


def test_what_an_earlier_request_wrote_is_needed_too(wrapper: Any) -> None:
    def request() -> int:
        seen(7)
        return needed()

    wrapper.ensure_connection()
    assert copy_context().run(request) == 7
    assert needed() == 0
