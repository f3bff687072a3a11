"""What a log may hold of what a master sends."""

from typing import Any

import msgspec
import pytest

from nexus.errors import ProtocolError
from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Operation, Reigned, Rows, Schema
from nexus.model.position import Epoch, HistoryId, Offset
from nexus.node.streaming.screening import screened
from nexus.protocol.messages import WalEntry
from nexus.protocol.parts import split_entry
from node.builders import REIGN, mark


def sent(payload: bytes) -> WalEntry:
    return WalEntry(Offset(1), REIGN.epoch, REIGN.history_id, Offset(0), payload)


def record_of(entry: WalEntry) -> Record:
    return Record(entry.epoch, entry.offset, entry.entry)


def screen(payload: bytes) -> None:
    screened(sent(payload), record_of(sent(payload)))


def said(*operations: Operation) -> bytes:
    return encode_payload(Payload(0, "", b"", operations))


@pytest.mark.parametrize(
    "operations",
    [(), (Rows(b"anything"),), (Schema("x"), mark()), (Reigned(REIGN), mark())],
)
def test_what_can_be_decoded_passes(operations: tuple[Operation, ...]) -> None:
    entry = sent(said(*operations))
    assert screened(entry, record_of(entry)) is entry


@pytest.mark.parametrize(
    "payload",
    [
        b"\xc1",
        b"\x93\x00\xa0",
        said(Schema("x"))[:-1],
        said(Schema("x")) + b"\x00",
        said(Schema("qq")).replace(b"qq", b"\xff\xfe"),
        msgspec.msgpack.encode([0, "", b"", [[99, "of a later version"]]]),
        msgspec.msgpack.encode({"timestamp_us": 0}),
        b"\x91" * 200_000,
    ],
)
def test_what_cannot_be_decoded_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError, match="entry 1 says nothing"):
        screen(payload)


@pytest.mark.parametrize(
    "changed",
    [
        {"epoch": Epoch(2)},
        {"history_id": HistoryId("beef")},
        {"first_offset": Offset(2)},
    ],
)
def test_a_reign_begins_where_its_entry_stands(changed: dict[str, Any]) -> None:
    reign = msgspec.structs.replace(REIGN, **changed)
    with pytest.raises(ProtocolError, match="does not begin there"):
        screen(said(Reigned(reign)))


def test_a_reign_is_the_first_that_its_entry_tells() -> None:
    with pytest.raises(ProtocolError, match="does not begin there"):
        screen(said(mark(), Reigned(REIGN)))


def test_the_last_part_of_an_entry_stands_for_all_of_it() -> None:
    record = Record(REIGN.epoch, Offset(1), said(Schema("x" * 9_000)))
    parts = split_entry(record, REIGN.history_id, Offset(7), part_bytes=10)
    assert len(parts) > 1
    whole = screened(parts[-1], record)

    assert whole == WalEntry(
        Offset(1), REIGN.epoch, REIGN.history_id, Offset(7), record.payload
    )
