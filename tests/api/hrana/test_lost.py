"""What is answered on a stream that is no more."""

import msgspec
import pytest

from nexus.api.hrana.lost import lost_cursor, lost_pipeline
from nexus.api.hrana.messages import (
    AutocommitRequest,
    Batch,
    CloseRequest,
    CursorBody,
    PipelineBody,
)
from nexus.api.refusals import StreamGoneError

GONE = StreamGoneError("it is gone")
ALONE, HELD = "n.s.1.x", "n.s.1t.x"


def test_where_nothing_else_is_lost_each_request_is_told_and_the_stream_is_closed() -> (
    None
):
    answer = lost_pipeline(PipelineBody([AutocommitRequest()] * 2, ALONE), GONE)
    said = msgspec.json.decode(answer.body)
    assert said["baton"] is None
    assert [each["error"]["message"] for each in said["results"]] == ["it is gone"] * 2

    lines = bytes(lost_cursor(CursorBody(Batch([]), ALONE), GONE).body).splitlines()
    first, told = map(msgspec.json.decode, lines)
    assert (first["baton"], told["type"]) == (None, "error")


@pytest.mark.parametrize("baton", [HELD, "nonsense"])
def test_where_a_transaction_may_be_lost_only_its_end_goes_on(baton: str) -> None:
    with pytest.raises(StreamGoneError):
        lost_pipeline(PipelineBody([AutocommitRequest()], baton), GONE)
    with pytest.raises(StreamGoneError):
        lost_cursor(CursorBody(Batch([]), baton), GONE)

    assert lost_pipeline(PipelineBody([CloseRequest()], baton), GONE).status_code == 200
