"""The frames of log entries that may be of several reigns."""

from typing import Final

from nexus.model.entry import Record
from nexus.model.position import EpochHistory, Offset, Reign
from nexus.protocol.codec import encode_entries

MOST_REMEMBERED: Final = 4 << 20
"""Bytes of frames that stay in memory for the next replica."""


def frames_of(
    records: list[Record],
    history: EpochHistory,
    commit_offset: Offset,
    *,
    compress: bool = True,
) -> list[bytes]:
    """The records' frames in pieces; each carries the history id of its own reign."""

    def framed(run: list[Record], reign: Reign) -> list[bytes]:
        return encode_entries(run, reign.history_id, commit_offset, compress=compress)

    frames: list[bytes] = []
    while records:
        reign = history.reign_at(records[0].offset)
        assert reign is not None, "every entry was written in some reign"
        last = records[-1]
        if history.reign_at(last.offset) is reign:
            return frames + framed(records, reign)
        own = [r for r in records if history.reign_at(r.offset) is reign]
        frames += framed(own, reign)
        records = records[len(own) :]
    return frames


class Framer:
    """Encodes once for all replicas that stand at the same place."""

    def __init__(self) -> None:
        self._run: tuple[Record, Record, Offset, bool] | None = None
        self._frames: list[bytes] = []

    def frames(
        self,
        records: list[Record],
        history: EpochHistory,
        commit_offset: Offset,
        *,
        compress: bool = True,
    ) -> list[bytes]:
        """As `frames_of`; the last run of entries is remembered."""
        if not records:
            return []
        run = (records[0], records[-1], commit_offset, compress)
        if self._run != run:
            frames = frames_of(records, history, commit_offset, compress=compress)
            if sum(map(len, frames)) > MOST_REMEMBERED:
                return frames
            self._run, self._frames = run, frames
        return self._frames
