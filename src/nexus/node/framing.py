"""The frames of log entries that may be of several reigns."""

from nexus.model.entry import Record
from nexus.model.position import EpochHistory, Offset
from nexus.protocol.codec import encode_entries


def frames_of(
    records: list[Record], history: EpochHistory, commit_offset: Offset
) -> bytes:
    """The records' frames; each carries the history id of its own reign."""
    frames = b""
    while records:
        reign = history.reign_at(records[0].offset)
        assert reign is not None, "every entry was written in some reign"
        last = records[-1]
        if history.reign_at(last.offset) is reign:
            return frames + encode_entries(records, reign.history_id, commit_offset)
        own = [r for r in records if history.reign_at(r.offset) is reign]
        frames += encode_entries(own, reign.history_id, commit_offset)
        records = records[len(own) :]
    return frames
