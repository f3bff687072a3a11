"""Operations keep their kind on the way through bytes."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.model.operation import (
    Configuration,
    Fingerprint,
    Operation,
    Pragma,
    Reigned,
    Rows,
    Schema,
    Sequence,
)
from nexus.model.position import Epoch, HistoryId, Offset, Reign

counters = st.none() | st.integers(-(1 << 63), (1 << 63) - 1)
operations: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Rows, st.binary(max_size=50), st.booleans()),
    st.builds(Schema, st.text()),
    st.builds(Sequence, st.text(), counters, counters),
    st.builds(Pragma, st.text(), st.integers(-5, 5), st.integers(-5, 5)),
    st.builds(
        Reigned,
        st.just(Reign(Epoch(1), HistoryId("h"), "node", Offset(1), 0, "start")),
    ),
    st.builds(Fingerprint, st.text()),
    st.builds(
        Configuration, st.text(), st.lists(st.tuples(st.text(), st.text())).map(tuple)
    ),
)


@given(operations)
def test_an_operation_comes_back_as_the_same_kind(operation: Operation) -> None:
    decoder: msgspec.msgpack.Decoder[Operation] = msgspec.msgpack.Decoder(Operation)
    found = decoder.decode(msgspec.msgpack.encode(operation))
    assert found == operation
    assert type(found) is type(operation)


def test_the_tags_are_those_of_every_log_written_so_far() -> None:
    tags = {kind.__name__: kind.__struct_config__.tag for kind in get_args(Operation)}
    assert tags == {
        "Rows": 1,
        "Schema": 2,
        "Sequence": 3,
        "Pragma": 4,
        "Reigned": 5,
        "Fingerprint": 6,
        "Configuration": 7,
        "Tokens": 8,
    }


def test_an_unknown_operation_is_not_decoded() -> None:
    with pytest.raises(msgspec.ValidationError, match="99"):
        msgspec.msgpack.decode(b"\x92\x63\x01", type=Operation)


def test_a_configuration_names_who_votes() -> None:
    configuration = Configuration("cluster", (("a", "a:1"), ("b", "b:1")))

    assert configuration.voter_ids == ("a", "b")


def test_a_configuration_of_an_older_release_names_no_quorum() -> None:
    older = msgspec.msgpack.encode((7, "cluster", (("a", "a:1"),), True, "sync"))

    known = msgspec.msgpack.decode(older, type=Operation)

    assert known == Configuration("cluster", (("a", "a:1"),), mode="sync")
