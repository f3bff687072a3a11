from typing import Any

import msgspec
import pytest

from nexus.api.hrana.counting import require_few
from nexus.api.hrana.messages import StreamRequest
from nexus.api.refusals import BodyTooLargeError

ONE = {"type": "execute", "stmt": {"sql": "select 1"}}
DESCRIBED = {"type": "describe", "sql": "select 1"}
BATCH = {"type": "batch", "batch": {"steps": [{"stmt": {"sql": "select 1"}}] * 3}}
SCRIPT = {"type": "sequence", "sql": "select 1; select 2; select ';;;;'"}
STORED = {"type": "store_sql", "sql_id": 1, "sql": "select 1; select 2"}
BY_ID = {"type": "sequence", "sql_id": 1}
CLOSED = {"type": "close"}


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ([ONE, ONE, CLOSED], 2),
        ([DESCRIBED, BATCH], 4),
        ([SCRIPT], 3),
        ([STORED, BY_ID, BY_ID], 4),
        ([BY_ID, ONE], 1),
        ([{"type": "sequence", "sql": ";;;;"}], 0),
    ],
)
def test_what_comes_at_once_has_so_many_statements(said: list[Any], count: int) -> None:
    requests = msgspec.convert(said, list[StreamRequest])

    require_few(requests, {}, most=count)
    with pytest.raises(BodyTooLargeError, match=f"^{count} statements are more than"):
        require_few(requests, {}, most=count - 1)


def test_texts_that_the_stream_has_count_too() -> None:
    requests = msgspec.convert([BY_ID], list[StreamRequest])

    require_few(requests, {1: "select 1; select 2"}, most=2)
    with pytest.raises(BodyTooLargeError):
        require_few(requests, {1: "select 1; select 2"}, most=1)
