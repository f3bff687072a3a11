"""What wrk is told, and what it tells."""

import pytest

from nexus.cli.bench.http import lua, told
from nexus.cli.outcome import NotDoneError


def test_answers_that_failed_count_for_nothing() -> None:
    measured = told("Requests/sec: 1\nRESULT 9000 2000000 1000\n")

    assert measured.value == 4_000
    assert measured.detail == "9,000 requests, 1,000 failed"


def test_a_wrk_that_tells_nothing_is_an_error_with_its_words() -> None:
    with pytest.raises(NotDoneError, match="unable to connect"):
        told("unable to connect\n")


def test_each_request_is_one_insert() -> None:
    assert '"sql":"insert into bench(number, text) values (?, ?)"' in lua()
