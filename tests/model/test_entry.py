"""An entry's payload is encoded once and read by every node."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.test_operation import operations
from nexus.model.entry import (
    Payload,
    Record,
    configuration_of,
    decode_payload,
    encode_payload,
    written_us,
)
from nexus.model.operation import Configuration, Rows
from nexus.model.position import Epoch, Offset

payloads = st.builds(
    Payload,
    timestamp_us=st.integers(0, 1 << 60),
    transaction_id=st.text(max_size=40),
    schema_hash=st.binary(max_size=16),
    operations=st.lists(operations, max_size=4).map(tuple),
    answer=st.binary(max_size=40),
    mode=st.sampled_from(["", "async", "sync"]),
)


@given(payloads)
def test_a_payload_comes_back_as_it_was(payload: Payload) -> None:
    assert decode_payload(encode_payload(payload)) == payload


def test_a_record_knows_what_its_payload_says() -> None:
    payload = Payload(1, "id", b"hash", (Rows(b"changes"),))
    record = Record(Epoch(2), Offset(7), encode_payload(payload))
    assert record.decoded() == payload


def test_an_older_payload_without_the_newer_fields_is_read() -> None:
    assert decode_payload(b"\x94\x01\xa0\xc4\x00\x90") == Payload(1, "", b"", ())


@pytest.mark.parametrize(
    "foreign", [b"", b"\xc0", b"\x91\x01", b"\x94\x01\xa0\xc4\x00"]
)
def test_foreign_bytes_are_no_payload(foreign: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        Record(Epoch(1), Offset(1), foreign).decoded()


@given(payloads)
def test_every_configuration_is_found_in_an_entry_of_nexus_own(
    payload: Payload,
) -> None:
    is_own = not payload.transaction_id and not payload.schema_hash
    told = [one for one in payload.operations if isinstance(one, Configuration)]
    expected = told[0] if is_own and told else None
    assert configuration_of(encode_payload(payload)) == expected


@pytest.mark.parametrize(
    "at_us", [0, 1, 127, 128, 255, 70_000, 2**33, 1_767_225_600_123_456]
)
def test_when_an_entry_was_written_is_read_without_decoding_it(at_us: int) -> None:
    assert written_us(encode_payload(Payload(at_us, "", b"", ()))) == at_us


@pytest.mark.parametrize(
    "payload", [b"", b"\x95", b"\x95\xc0", b"\x95\xd3" + b"\xff" * 8]
)
def test_what_tells_no_time_was_written_long_ago(payload: bytes) -> None:
    assert written_us(payload) == 0
