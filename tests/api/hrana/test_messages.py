import msgspec
import pytest

from nexus.api.hrana.messages import Batch, PipelineBody, StreamRequest


def test_fields_that_are_not_known_are_ignored() -> None:
    said = b'{"requests": [{"type": "close", "later": 1}], "baton": null, "new": 2}'

    assert len(msgspec.json.decode(said, type=PipelineBody).requests) == 1


@pytest.mark.parametrize(
    "said",
    [
        b'{"type": "store_sql", "sql_id": 2147483648, "sql": ""}',
        b'{"type": "store_sql", "sql_id": 1}',
        b'{"type": "execute", "stmt": {"args": [{"type": "integer", "value": 1}]}}',
        b'{"type": "execute", "stmt": {"args": [{"type": "integer", "value": "x"}]}}',
        b'{"type": "execute", "stmt": {"args": [{"type": "blob", "base64": "A"}]}}',
        b'{"type": "unknown"}',
        b"{}",
    ],
)
def test_what_the_specification_does_not_allow_is_no_request(said: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(said, type=StreamRequest)


def test_conditions_may_stand_within_conditions() -> None:
    said = (
        b'{"steps": [{"stmt": {"sql": "x"}, "condition": {"type": "not", "cond": '
        b'{"type": "and", "conds": [{"type": "ok", "step": 0}]}}}]}'
    )
    batch = msgspec.json.decode(said, type=Batch)

    assert msgspec.json.decode(msgspec.json.encode(batch), type=Batch) == batch
