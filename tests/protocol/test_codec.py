"""Frames: what is said arrives as it was said, or is refused with a reason."""

import itertools
import struct
import tracemalloc
from typing import get_args
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.errors import ProtocolError
from nexus.model.cluster import NodeId
from nexus.model.entry import Record
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Position, Reign
from nexus.protocol.codec import (
    CODES,
    FRAME_BYTES,
    HANDSHAKE_FRAME_BYTES,
    OVERHEAD,
    PIECE_BYTES,
    Decoder,
    encode,
    encode_entries,
    history_for_handshake,
)
from nexus.protocol.messages import (
    Error,
    Hello,
    Message,
    Ping,
    Plan,
    Pong,
    SnapshotChunk,
    WalAck,
    WalEntry,
    Welcome,
)
from nexus.protocol.parts import EntryAssembler
from protocol.messages_strategy import messages, messages_after_handshake

HISTORY = HistoryId("9f86d081")
PING = Ping(1, Offset(2), Offset(2), Epoch(1), "c", HISTORY)
WELCOME = Welcome(
    NodeId("m"),
    "c",
    Epoch(1),
    Offset(9),
    Offset(9),
    4096,
    "UTF-8",
    Plan.STREAM,
    Offset(4),
    EpochHistory(),
)


def established() -> Decoder:
    """A decoder whose handshake is done."""
    decoder = Decoder()
    decoder.handshake_done()
    return decoder


def frame(code: int, payload: bytes) -> bytes:
    """A frame with a right CRC around any payload."""
    covered = struct.pack("<BI", code, len(payload)) + payload
    return covered + struct.pack("<I", crc32(covered))


def outcome(data: bytes, decoder: Decoder) -> list[Message] | str:
    """The messages, or what the decoder says of the bytes; nothing else may happen."""
    try:
        return decoder.feed(data)
    except ProtocolError as error:
        return str(error)


def refusal(data: bytes, decoder: Decoder | None = None) -> str:
    """What the decoder says of bytes that it must refuse."""
    with pytest.raises(ProtocolError) as caught:
        (decoder or established()).feed(data)
    return str(caught.value)


@given(messages)
def test_what_is_encoded_decodes_to_the_same(message: Message) -> None:
    assert established().feed(encode(message)) == [message]


@given(st.lists(messages, max_size=6), st.data())
def test_a_stream_cut_anywhere_gives_the_same_messages(
    sent: list[Message], data: st.DataObject
) -> None:
    stream = b"".join(map(encode, sent))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=10).map(sorted))
    decoder = established()

    received = []
    for start, stop in itertools.pairwise([0, *cuts, len(stream)]):
        received += decoder.feed(stream[start:stop])

    assert received == sent


def test_a_stream_that_comes_byte_by_byte_gives_the_same_messages() -> None:
    sent: list[Message] = [PING, WalAck(Offset(3), Offset(2)), PING]
    decoder = established()

    received = []
    for byte in b"".join(map(encode, sent)):
        received += decoder.feed(bytes([byte]))

    assert received == sent


@given(messages_after_handshake, st.data())
def test_no_flipped_bit_ever_gives_a_message(
    message: Message, data: st.DataObject
) -> None:
    original = encode(message)
    bit = data.draw(st.integers(0, len(original) * 8 - 1))
    flipped = bytearray(original)
    flipped[bit // 8] ^= 1 << bit % 8

    assert _messages_of(bytes(flipped)) == []


def test_each_single_bit_of_a_frame_is_guarded() -> None:
    original = encode(WalEntry(Offset(7), Epoch(2), HISTORY, Offset(6), b"rows" * 9))
    for bit in range(len(original) * 8):
        flipped = bytearray(original)
        flipped[bit // 8] ^= 1 << bit % 8
        assert _messages_of(bytes(flipped)) == [], f"bit {bit}"


def _messages_of(damaged: bytes) -> list[Message]:
    """What comes before the error; a frame made longer meets the CRC of the next."""
    decoder = established()
    found = []
    try:
        for byte in damaged + encode(PING) * 4:
            found += decoder.feed(bytes([byte]))
    except ProtocolError:
        pass
    return [message for message in found if message != PING]


@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_are_refused_or_wait_for_more(
    data: bytes,
    done: bool,  # noqa: FBT001 - drawn
) -> None:
    assert outcome(data, established() if done else Decoder()) != ""


@given(st.sampled_from(sorted(CODES.values())), st.binary(max_size=200))
def test_a_random_payload_in_a_right_frame_is_refused_or_a_message(
    code: int, payload: bytes
) -> None:
    found = outcome(frame(code, payload), established())

    if isinstance(found, str):
        assert "malformed" in found
    else:
        assert [CODES[type(message)] for message in found] == [code]


@given(messages, st.data())
def test_a_field_of_any_other_kind_is_refused_or_a_message(
    message: Message, data: st.DataObject
) -> None:
    fields = list(msgspec.to_builtins(message, builtin_types=(bytes,)))
    place = data.draw(st.integers(0, len(fields) - 1))
    fields[place] = data.draw(
        st.one_of(st.none(), st.integers(-5, 5), st.text(), st.lists(st.none()))
    )
    payload = msgspec.msgpack.encode(fields)

    found = outcome(frame(CODES[type(message)], payload), established())

    assert not isinstance(found, str) or "malformed" in found


def test_every_message_has_the_code_of_the_interface() -> None:
    assert {kind.__name__: code for kind, code in CODES.items()} == {
        "Hello": 0x01,
        "Welcome": 0x02,
        "Challenge": 0x03,
        "Ping": 0x10,
        "Pong": 0x11,
        "WalEntry": 0x20,
        "WalAck": 0x21,
        "RequestSnapshot": 0x30,
        "SnapshotMeta": 0x31,
        "SnapshotChunk": 0x32,
        "SnapshotComplete": 0x33,
        "VoteRequest": 0x40,
        "VoteReply": 0x41,
        "TakeOver": 0x42,
        "Attach": 0x50,
        "Attached": 0x51,
        "Execute": 0x52,
        "Begin": 0x53,
        "Commit": 0x54,
        "Rollback": 0x55,
        "Recall": 0x56,
        "Fetch": 0x57,
        "Cancel": 0x58,
        "Rows": 0x59,
        "Done": 0x5A,
        "Failed": 0x5B,
        "Error": 0xFF,
    }
    assert set(CODES) == set(get_args(Message))


def test_a_frame_is_laid_out_as_the_interface_says() -> None:
    assert encode(Pong(1)) == bytes.fromhex("11 04000000 93010000 1b68cf77")


def test_a_wrong_checksum_is_told_with_both_values() -> None:
    damaged = bytearray(encode(PING))
    damaged[-1] ^= 0xFF

    said = refusal(bytes(damaged))

    assert said.startswith(f"a Ping frame of {len(damaged)} bytes carries the CRC-32 ")
    assert said.endswith("it was damaged on the way")


def test_an_unknown_type_is_told_before_its_payload_comes() -> None:
    assert refusal(b"\x37\x01\x00\x00\x00") == (
        "message type 0x37 is not of this protocol; the peer is no Nexus node, or one "
        "of a newer version"
    )


@pytest.mark.parametrize(
    ("spoken", "mend"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "name its replication.bind_addr"),
        (b"GET / HTTP/1.1\r\n", "HTTP goes to http_addr"),
        (b"POST /sql HTTP/1.1\r\n", "HTTP goes to http_addr"),
    ],
)
def test_who_speaks_http_is_told_of_the_other_port(spoken: bytes, mend: str) -> None:
    for decoder in (None, Decoder()):
        said = refusal(spoken, decoder) if decoder else refusal(spoken)
        assert said.startswith("the peer speaks HTTP")
        assert mend in said


def test_a_stranger_gets_no_more_than_64_kib() -> None:
    length = HANDSHAKE_FRAME_BYTES - OVERHEAD
    assert Decoder().feed(struct.pack("<BI", 0x20, length)) == []
    assert refusal(struct.pack("<BI", 0x20, length + 1), Decoder()) == (
        "a WalEntry frame of 65537 bytes is over the limit of 65536 bytes"
    )


def test_a_peer_gets_no_more_than_64_mib() -> None:
    length = FRAME_BYTES - OVERHEAD
    assert established().feed(struct.pack("<BI", 0x32, length)) == []
    assert refusal(struct.pack("<BI", 0x32, length + 1)) == (
        "a SnapshotChunk frame of 67108865 bytes is over the limit of 67108864 bytes"
    )


def test_a_message_of_small_fields_stays_small_after_the_handshake_too() -> None:
    said = refusal(struct.pack("<BI", 0x01, HANDSHAKE_FRAME_BYTES))
    assert said == "a Hello frame of 65545 bytes is over the limit of 65536 bytes"


def test_a_decoder_may_be_given_a_limit_of_its_own() -> None:
    said = refusal(struct.pack("<BI", 0x10, 100), Decoder(max_frame=64))
    assert said == "a Ping frame of 109 bytes is over the limit of 64 bytes"


def test_a_malformed_payload_is_told_with_its_place() -> None:
    assert refusal(frame(0x42, b"\x91\xa1x")) == (
        "the payload of a TakeOver frame is malformed: Expected `int`, got `str` - at "
        "`$[0]`"
    )


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x91",
        b"\x91\x01\x01",
        b"\x92\xa1\xff\x00",
        b"\x92\xa0\xa0" + b"\x91" * 5000,
        b"\x95\xa0\xa0\x00\xa0" + b"\x91" * 50_000,
        b"\xdd\xff\xff\xff\xff",
    ],
    ids=["empty", "cut", "trailing", "not UTF-8", "deep", "deeper", "endless"],
)
def test_a_payload_that_is_no_message_is_refused(payload: bytes) -> None:
    assert "the payload of a Error frame is malformed" in refusal(frame(0xFF, payload))


@pytest.mark.parametrize("number", [-1, 1 << 63])
def test_an_offset_that_no_log_can_hold_is_refused(number: int) -> None:
    payload = msgspec.msgpack.encode([number, 0])
    assert "Expected `int`" in refusal(frame(CODES[WalAck], payload))


@pytest.mark.parametrize(
    "name", ["../etc/x", "a/b", "a\\b", ".hidden", "a\0", "x" * 201]
)
def test_a_snapshot_id_that_is_no_plain_file_name_is_refused(name: str) -> None:
    payload = msgspec.msgpack.encode([name, 0, b"", 0])
    assert "Expected `str`" in refusal(frame(CODES[SnapshotChunk], payload))


def test_a_newer_peers_additional_fields_are_passed_over() -> None:
    payload = msgspec.msgpack.encode([5, 1, 1, "more", {"of": "it"}])
    assert established().feed(frame(0x11, payload)) == [Pong(5, Offset(1), Offset(1))]


def test_an_older_peers_missing_fields_take_their_defaults() -> None:
    assert established().feed(frame(0x11, b"\x91\x05")) == [Pong(5)]


def test_after_an_error_a_connection_gives_nothing_more() -> None:
    decoder = established()
    first = refusal(b"\x37\x00\x00\x00\x00", decoder)

    assert refusal(encode(PING), decoder) == first


def test_the_end_of_the_handshake_counts_for_the_frame_that_is_arriving() -> None:
    large = WalEntry(Offset(5), Epoch(1), HISTORY, Offset(5), b"x" * 200_000)
    stream = encode(WELCOME) + encode(large)
    decoder = Decoder()

    assert decoder.feed(stream[:46]) == [WELCOME]
    decoder.handshake_done()

    assert decoder.feed(stream[46:]) == [large]


def test_a_claimed_length_costs_no_memory() -> None:
    tracemalloc.start()
    try:
        decoders = [established() for _ in range(100)]
        for decoder in decoders:
            decoder.feed(struct.pack("<BI", 0x20, FRAME_BYTES - OVERHEAD))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert used < 1 << 20


def test_a_claimed_count_costs_no_memory() -> None:
    payload = b"\x9e\x01\x01\xa0\x91\xdd\x00\x00\xff\x00" + b"\xc0" * 65_280
    tracemalloc.start()
    try:
        refusal(frame(CODES[Hello], payload), Decoder())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 << 20


def test_a_message_that_no_peer_would_take_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="over the limit of 65536 bytes"):
        encode(Error("busy", "x" * HANDSHAKE_FRAME_BYTES))
    with pytest.raises(ProtocolError, match="over the limit of 67108864 bytes"):
        encode(SnapshotChunk("s", 0, bytes(FRAME_BYTES), 0))


@given(
    st.lists(
        st.binary(min_size=1, max_size=50) | st.binary(min_size=4096, max_size=4200)
    ),
    st.booleans(),
)
def test_a_run_of_entries_arrives_as_the_same_records(
    payloads: list[bytes],
    compress: bool,  # noqa: FBT001 - drawn
) -> None:
    records = [
        Record(Epoch(3), Offset(number), payload)
        for number, payload in enumerate(payloads, start=8)
    ]

    frames = encode_entries(records, HISTORY, Offset(9), compress=compress)

    entries = established().feed(b"".join(frames))
    assembler = EntryAssembler()
    assert all(isinstance(entry, WalEntry) for entry in entries)
    assert [
        assembler.add(entry) for entry in entries if isinstance(entry, WalEntry)
    ] == records
    assert all(
        entry.history_id == HISTORY and entry.commit_offset == 9
        for entry in entries
        if isinstance(entry, WalEntry)
    )


def test_the_fast_path_makes_the_frames_of_the_plain_one() -> None:
    record = Record(Epoch(3), Offset(8), b"rows")
    entry = WalEntry(record.offset, record.epoch, HISTORY, Offset(9), record.payload)

    assert encode_entries([record], HISTORY, Offset(9)) == [encode(entry)]


@given(st.lists(st.integers(min_value=1, max_value=300_000), max_size=12))
def test_a_run_comes_in_pieces_of_whole_frames_between_which_others_fit(
    sizes: list[int],
) -> None:
    records = [
        Record(Epoch(3), Offset(number), bytes(size))
        for number, size in enumerate(sizes, start=8)
    ]

    pieces = encode_entries(records, HISTORY, Offset(9), compress=False)

    assert all(0 < len(piece) < 2 * PIECE_BYTES for piece in pieces)
    decoder, assembler = established(), EntryAssembler()
    joined = [
        assembler.add(entry)
        for piece in pieces
        for entry in decoder.feed(piece + encode(Ping(1)))
        if isinstance(entry, WalEntry)
    ]
    assert [record for record in joined if record is not None] == records


def test_what_frames_add_to_many_small_entries_counts_for_their_pieces() -> None:
    records = [Record(Epoch(3), Offset(number), b"r") for number in range(8, 8_008)]

    pieces = encode_entries(records, HISTORY, Offset(9))

    assert all(len(piece) < 2 * PIECE_BYTES for piece in pieces)


def test_a_long_history_is_cut_to_its_newest_reigns_for_a_handshake() -> None:
    reigns = tuple(
        Reign(
            Epoch(n),
            HistoryId(f"{n:032x}"),
            "node-a",
            Offset(n),
            1_764_000_000,
            "start",
        )
        for n in range(1, 3001)
    )
    hello = Hello(
        1,
        1,
        "c" * 36,
        history_for_handshake(EpochHistory(reigns)),
        NodeId("n" * 64),
        "a" * 256,
        "h" * 256,
        Epoch(3000),
        Position(),
    )

    assert hello.history.reigns == reigns[-len(hello.history.reigns) :]
    assert len(hello.history.reigns) > 500
    assert Decoder().feed(encode(hello)) == [hello]


def test_a_short_history_goes_into_a_handshake_whole() -> None:
    history = EpochHistory((Reign(Epoch(1), HISTORY, "a", Offset(1), 0, "start"),))

    assert history_for_handshake(history) is history
    assert history_for_handshake(EpochHistory()) == EpochHistory()
