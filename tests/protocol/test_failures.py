"""An error of a node is the same error at its client."""

import pytest

from nexus.errors import (
    ConstraintError,
    NexusError,
    NoMasterError,
    OutcomeUnknownError,
    ReadOnlyReplicaError,
    StatementError,
    TransactionTooLargeError,
)
from nexus.protocol.calls import Failed
from nexus.protocol.codec import Decoder, encode
from nexus.protocol.failures import KINDS, MOST_MESSAGE, error_of, failed_of


@pytest.mark.parametrize(
    "error",
    [
        ConstraintError("UNIQUE failed", index=2),
        TransactionTooLargeError(size_bytes=9, limit_bytes=8),
        ReadOnlyReplicaError("a replica", master_url="http://m"),
        OutcomeUnknownError("in the log", offset=1 << 62),
        NoMasterError("none"),
    ],
    ids=lambda error: error.code,
)
def test_an_error_arrives_with_its_class_message_and_attributes(
    error: NexusError,
) -> None:
    (failed,) = Decoder().feed(encode(failed_of(error, 7)))

    assert isinstance(failed, Failed)
    assert failed.request_id == 7
    arrived = error_of(failed)
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


@pytest.mark.parametrize("code", KINDS)
def test_every_error_can_be_told_without_its_attributes(code: str) -> None:
    error = error_of(Failed(1, code, "said"))

    assert error.code == code
    assert str(error) == "said"
    assert failed_of(error, 1).message == "said"


def test_a_newer_nodes_error_is_a_plain_one_here() -> None:
    assert type(error_of(Failed(1, "of_tomorrow", "said"))) is NexusError


def test_an_unbounded_message_still_fits_its_frame() -> None:
    failed = failed_of(StatementError("é" * 100_000), 1)

    assert len(failed.message) == MOST_MESSAGE
    assert Decoder().feed(encode(failed)) == [failed]
