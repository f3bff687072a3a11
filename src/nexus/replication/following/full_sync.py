"""A replica's full sync: what it keeps, when it asks, what arrives, how it ends."""

from nexus.errors import ProtocolError
from nexus.model.cluster import LinkState, NodeId
from nexus.model.position import NO_OFFSET, EpochHistory, Offset, Position
from nexus.protocol.messages import (
    RequestSnapshot,
    SnapshotChunk,
    SnapshotComplete,
    SnapshotMeta,
    WalAck,
)
from nexus.replication.effects import (
    Effects,
    Install,
    Level,
    ReceiveSnapshot,
    Report,
    StoreChunk,
)
from nexus.replication.following.incoming import Incoming
from nexus.replication.following.keeping import Keeping
from nexus.replication.following.link import Link
from nexus.replication.timing.backoff import Backoff


class FullSync:
    """One snapshot at a time; a broken transfer goes on at the next chunk."""

    def __init__(
        self,
        node_id: NodeId,
        link: Link,
        log: Incoming,
        keeping: Keeping,
        wait: Backoff,
    ) -> None:
        """`wait` is how long to wait from one full sync to the next."""
        self._node_id = node_id
        self._link = link
        self._log = log
        self._keeping = keeping
        self._wait = wait
        self._not_before_ms = 0
        self._snapshot_id = ""
        self._next_chunk = 0
        self._asked = False
        self._fork = NO_OFFSET
        self._meta: SnapshotMeta | None = None
        """Of the transfer under way on this connection."""
        self.wanted = False
        """Whether the next master is asked for one, even where the logs match."""
        self.is_broken = False
        """Whether nothing else helps: the database does not have what the log says."""
        self.conflicts = 0
        self.completed = 0

    def resume_from(self, snapshot_id: str, next_chunk: int) -> None:
        """So much of a snapshot has arrived already."""
        self._snapshot_id = snapshot_id
        self._next_chunk = next_chunk

    def steady(self) -> None:
        """Streaming goes well: the next full sync need not wait."""
        self._wait.reset()
        self._not_before_ms = 0

    def apply_failed(self, reason: str, now_ms: int) -> Effects:
        """An entry does not fit the rows here: only a snapshot mends that."""
        self.conflicts += 1
        self.wanted = self.is_broken = True
        report = Report(Level.ERROR, "apply_failed", reason)
        if not self._link.streams:
            return (report,)
        ack = WalAck(self._log.durable, self._log.applied, success=False)
        said = self._link.say(ack, now_ms)
        full_sync = self.begin(self._log.received, now_ms)
        self._link.last_error = reason
        return (report, said, *full_sync)

    def begin(self, fork: Offset, now_ms: int) -> Effects:
        """On a new connection: keep the entries after `fork`, then ask as `request`."""
        self._link.begins_full_sync()
        self._log.unmatched()
        self._asked = False
        self._fork = fork
        self._meta = None
        return (*self._keeping.after(fork), *self.request(now_ms))

    def request(self, now_ms: int) -> Effects:
        """Ask, when it is time: for the rest at once, for a new one not too often."""
        if self._asked or (self._next_chunk == 0 and now_ms < self._not_before_ms):
            return ()
        self._asked = True
        if self._next_chunk == 0:
            self._not_before_ms = now_ms + self._wait.next_ms()
        wish = RequestSnapshot(
            self._node_id, self._snapshot_id, self._next_chunk, takes_growing=True
        )
        return (self._link.say(wish, now_ms),)

    def installed(
        self, position: Position, history: EpochHistory, now_ms: int
    ) -> Effects:
        """Log and database stand at `position`: connect anew, from there."""
        self.wanted = self.is_broken = False
        self._log.replaced(history, position)
        self._keeping.gone()
        self.completed += 1
        return self._ended("", now_ms)

    def failed(self, reason: str, now_ms: int) -> Effects:
        """What has arrived is no good: the next request begins anew, after a while."""
        report = Report(Level.ERROR, "install_failed", reason)
        return (report, *self._ended(reason, now_ms))

    def _ended(self, failure: str, now_ms: int) -> Effects:
        answer = SnapshotComplete(self._snapshot_id, success=not failure)
        self._forget()
        waited = self._link.disk_done(failure)
        if self._link.state is not LinkState.FULL_SYNC:
            return waited
        said = self._link.say(answer, now_ms)
        if failure:
            return (said, *self._link.given_up(failure))
        reason = "the snapshot is installed: connecting anew"
        again = self._link.same_master()
        return (said, *self._link.given_up(reason, instead=again))

    def _forget(self) -> None:
        self._meta = None
        self.resume_from("", 0)

    def receive(
        self,
        message: SnapshotMeta | SnapshotChunk | SnapshotComplete,
        history: EpochHistory,
    ) -> Effects:
        """One frame of the transfer; ProtocolError for one that does not belong here.

        `history` is the master's.
        """
        try:
            match message:
                case SnapshotMeta():
                    return (self._begins(message, history),)
                case SnapshotChunk():
                    return (self._chunk(message),)
                case _:
                    return (self._complete(message),)
        except ProtocolError:
            # Going on where it stands would fail the same way for ever.
            self._forget()
            raise

    def _begins(self, meta: SnapshotMeta, history: EpochHistory) -> ReceiveSnapshot:
        begun = self._meta
        is_end = begun is not None and meta.completes(begun) and not meta.is_growing
        if not self._asked or not (begun is None or is_end):
            raise ProtocolError(f"snapshot {meta.snapshot_id} was not asked for")
        if history.position_at(meta.position.offset) != meta.position:
            raise ProtocolError(
                f"snapshot {meta.snapshot_id} stands at {meta.position}, which the "
                "master's history does not contain"
            )
        if meta.position.offset < self._fork:
            # What was acknowledged is durable on a quorum only while it stays here.
            raise ProtocolError(
                f"snapshot {meta.snapshot_id} stands at {meta.position}, the log here "
                f"is the master's up to entry {self._fork}"
            )
        fewer = self._next_chunk > meta.chunk_count and not meta.is_growing
        if is_end and fewer:
            raise ProtocolError(
                f"snapshot {meta.snapshot_id} has {meta.chunk_count} chunks, "
                f"{self._next_chunk} came"
            )
        if meta.snapshot_id != self._snapshot_id or fewer:
            self.resume_from(meta.snapshot_id, 0)
        self._meta = meta
        return ReceiveSnapshot(meta, self._next_chunk)

    def _chunk(self, chunk: SnapshotChunk) -> StoreChunk:
        meta = self._meta
        if meta is None or chunk.snapshot_id != meta.snapshot_id:
            raise ProtocolError(
                f"a chunk of snapshot {chunk.snapshot_id} came, which is not under way"
            )
        is_beyond = chunk.chunk_index >= meta.chunk_count and not meta.is_growing
        if chunk.chunk_index != self._next_chunk or is_beyond:
            raise ProtocolError(
                f"chunk {chunk.chunk_index} of snapshot {meta.snapshot_id} came where "
                f"{self._next_chunk} of {meta.chunk_count} was expected"
            )
        self._next_chunk += 1
        return StoreChunk(chunk)

    def _complete(self, message: SnapshotComplete) -> Install:
        meta = self._meta
        if (
            meta is None
            or message.snapshot_id != meta.snapshot_id
            or not message.success
            or meta.is_growing
            or self._next_chunk != meta.chunk_count
        ):
            raise ProtocolError(
                f"snapshot {message.snapshot_id} ended after {self._next_chunk} chunks"
            )
        self._link.awaits_disk = True
        self._meta = None
        return Install(meta.snapshot_id, meta.position)
