"""Answers kept beside their transaction ids: a retry is answered as the first time."""

from typing import Final

import msgspec

from nexus.errors import TransactionError
from nexus.model.position import Epoch, HistoryId, Offset, Position, Reign
from nexus.node.writing.work import Answer
from nexus.storage.capturing.results import Captured, StatementResult


class StoredAnswer(msgspec.Struct, frozen=True, array_like=True):
    """An answer as it is kept beside its transaction id."""

    epoch: int
    history_id: HistoryId
    results: list[StatementResult] | None
    """None where they were too large to keep."""


STORED_ANSWER_LIMIT: Final = 64 << 10
"""Bytes of results that are kept for a retry; a larger answer keeps its offset only."""

encode_stored: Final = msgspec.msgpack.Encoder().encode
decode_stored: Final = msgspec.msgpack.Decoder(StoredAnswer).decode


def stored_answer(reign: Reign, captured: Captured) -> bytes:
    """The answer as it is kept beside the transaction's id."""
    answer = encode_stored(
        StoredAnswer(reign.epoch, reign.history_id, captured.results)
    )
    if len(answer) > STORED_ANSWER_LIMIT:
        return encode_stored(StoredAnswer(reign.epoch, reign.history_id, None))
    return answer


def answer_again(transaction_id: str, offset: Offset, stored: bytes) -> Answer:
    """The answer of a transaction that was done before, as the first time.

    Raises TransactionError where its results were too large to keep.
    """
    answer = decode_stored(stored)
    if answer.results is None:
        raise TransactionError(
            f"transaction {transaction_id!r} was committed at offset {offset}, but its "
            f"results were larger than the {STORED_ANSWER_LIMIT} bytes that are kept "
            "for a retry; read the rows again"
        )
    position = Position(Epoch(answer.epoch), offset, answer.history_id)
    return Answer(answer.results, position)


def position_of(offset: Offset, stored: bytes) -> Position:
    """Where the transaction of a kept answer stands in the log."""
    answer = decode_stored(stored)
    return Position(Epoch(answer.epoch), offset, answer.history_id)
