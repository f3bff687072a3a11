"""The snapshot that a replica is receiving, and when it may ask for one."""

from nexus.errors import ProtocolError
from nexus.model.position import EpochHistory
from nexus.protocol.messages import SnapshotChunk, SnapshotComplete, SnapshotMeta
from nexus.replication.backoff import Backoff
from nexus.replication.effects import Install, ReceiveSnapshot, StoreChunk


class Intake:
    """One snapshot at a time; a broken transfer goes on at the next chunk."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._not_before_ms = 0
        self._meta: SnapshotMeta | None = None
        """Of the transfer under way on this connection."""
        self.snapshot_id = ""
        self.next_chunk = 0
        self.asked = False
        self.installing = False

    def resume_from(self, snapshot_id: str, next_chunk: int) -> None:
        """So much of a snapshot is on disk already, from before a restart."""
        self.snapshot_id = snapshot_id
        self.next_chunk = next_chunk

    def may_ask(self, now_ms: int) -> bool:
        """Whether a request is due: a resumed one always, a new one not too often."""
        return not self.asked and (self.next_chunk > 0 or now_ms >= self._not_before_ms)

    def has_asked(self, now_ms: int) -> None:
        """The request is on its way."""
        self.asked = True
        if self.next_chunk == 0:
            self._not_before_ms = now_ms + self._backoff.next_ms()

    def steady(self) -> None:
        """Streaming goes well: the next full sync need not wait."""
        self._backoff.reset()
        self._not_before_ms = 0

    def interrupted(self) -> None:
        """The connection is gone; what has arrived is kept."""
        self.asked = False
        self._meta = None

    def forget(self) -> None:
        """What has arrived is of no use: the next request begins anew."""
        self.interrupted()
        self.installing = False
        self.resume_from("", 0)

    def begins(self, meta: SnapshotMeta, history: EpochHistory) -> ReceiveSnapshot:
        """A snapshot comes; ProtocolError if none was asked for, or not this."""
        if not self.asked or self._meta is not None:
            raise ProtocolError(f"snapshot {meta.snapshot_id} was not asked for")
        if history.position_at(meta.position.offset) != meta.position:
            raise ProtocolError(
                f"snapshot {meta.snapshot_id} stands at {meta.position}, which the "
                "master's history does not contain"
            )
        if meta.snapshot_id != self.snapshot_id or self.next_chunk > meta.chunk_count:
            self.resume_from(meta.snapshot_id, 0)
        self._meta = meta
        return ReceiveSnapshot(meta, self.next_chunk)

    def chunk(self, chunk: SnapshotChunk) -> StoreChunk:
        """The next piece; ProtocolError for any other."""
        meta = self._meta
        if meta is None or chunk.snapshot_id != meta.snapshot_id:
            raise ProtocolError(
                f"a chunk of snapshot {chunk.snapshot_id} came, which is not under way"
            )
        if chunk.chunk_index != self.next_chunk or chunk.chunk_index >= meta.chunk_count:
            raise ProtocolError(
                f"chunk {chunk.chunk_index} of snapshot {meta.snapshot_id} came where "
                f"{self.next_chunk} of {meta.chunk_count} was expected"
            )
        self.next_chunk += 1
        return StoreChunk(chunk)

    def complete(self, message: SnapshotComplete) -> Install:
        """All is here; ProtocolError if it is not."""
        meta = self._meta
        if (
            meta is None
            or message.snapshot_id != meta.snapshot_id
            or not message.success
            or self.next_chunk != meta.chunk_count
        ):
            raise ProtocolError(
                f"snapshot {message.snapshot_id} ended after {self.next_chunk} chunks"
            )
        self.installing = True
        self._meta = None
        return Install(meta.snapshot_id, meta.position)
