"""What every message promises, whichever it is."""

from typing import get_args, get_type_hints

import msgspec
import pytest

from nexus.protocol.messages import (
    PROTOCOL_LEAST,
    PROTOCOL_MOST,
    ErrorCode,
    Message,
    Ping,
    Plan,
    SnapshotMeta,
)

KINDS = get_args(Message)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_message_is_a_frozen_value_sent_as_an_array(
    kind: type[msgspec.Struct],
) -> None:
    assert kind.__struct_config__.frozen
    assert kind.__struct_config__.array_like
    assert not kind.__struct_config__.forbid_unknown_fields


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_message_says_what_it_is(kind: type[msgspec.Struct]) -> None:
    assert (kind.__doc__ or "").endswith(".")
    assert get_type_hints(kind)


def test_the_fields_stand_in_the_order_of_the_interface() -> None:
    fields = {kind.__name__: kind.__struct_fields__ for kind in KINDS}
    assert fields["WalEntry"][:7] == (
        "offset",
        "epoch",
        "history_id",
        "commit_offset",
        "entry",
        "part",
        "parts",
    )
    assert fields["WalAck"][:3] == ("durable_offset", "applied_offset", "success")
    assert fields["Ping"][:4] == (
        "timestamp",
        "current_offset",
        "commit_offset",
        "epoch",
    )
    assert fields["Pong"] == ("timestamp", "durable_offset", "applied_offset")
    assert fields["RequestSnapshot"][:3] == ("node_id", "snapshot_id", "next_chunk")
    assert fields["SnapshotMeta"] == (
        "snapshot_id",
        "total_size",
        "chunk_count",
        "crc32",
        "position",
    )
    assert fields["SnapshotChunk"] == ("snapshot_id", "chunk_index", "data", "crc32")
    assert fields["SnapshotComplete"] == ("snapshot_id", "success")
    assert fields["VoteRequest"] == (
        "cluster_id",
        "epoch",
        "candidate_id",
        "position",
        "history_id",
        "pre_vote",
        "transfer",
    )
    assert fields["VoteReply"][:3] == ("epoch", "granted", "reason")
    assert fields["TakeOver"] == ("epoch",)
    assert fields["Error"][:2] == ("code", "message")


def test_a_message_is_compared_by_value_and_never_changed() -> None:
    assert Ping(5) == Ping(5)
    assert SnapshotMeta("s", 1, 1, 0) != SnapshotMeta("s", 2, 1, 0)
    with pytest.raises(AttributeError):
        Ping(5).timestamp = 6  # type: ignore[misc]


def test_the_plans_and_codes_are_the_words_of_the_interface() -> None:
    assert [plan.value for plan in Plan] == ["stream", "rewind", "full_sync"]
    assert all(code.value == code.name.lower() for code in ErrorCode)
    assert PROTOCOL_LEAST <= PROTOCOL_MOST
