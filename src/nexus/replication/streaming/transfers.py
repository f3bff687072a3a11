"""Full syncs of a master's replicas: who is sent a snapshot, and what the log keeps."""

from collections import deque

import msgspec

from nexus.model.cluster import NodeId
from nexus.model.position import Offset, Position
from nexus.protocol.messages import RequestSnapshot
from nexus.replication.effects import Effects, Level, Peer, Report, SendSnapshot
from nexus.replication.settings import LogExtent, MasterSettings
from nexus.replication.streaming.progress import Progress


class FullSyncs:
    """Bounded transfers, and a pin in the log for each until its replica streams."""

    def __init__(self, settings: MasterSettings) -> None:
        self._settings = settings
        self._transfers = Transfers(settings.max_transfers)
        self._pins = Pins()

    @property
    def completed(self) -> int:
        """Snapshots sent to the end."""
        return self._transfers.completed

    def retention_floor(self, otherwise: Offset) -> Offset:
        """The first offset that the log must keep."""
        return self._pins.floor(otherwise)

    def wanted(
        self, progress: Progress, message: RequestSnapshot, log: LogExtent, now_ms: int
    ) -> Effects:
        """A connected replica asks for a snapshot, or for the rest of one."""
        assert progress.peer is not None, "only a connected replica asks"
        progress.needs_snapshot()
        # Which snapshot it will be is the driver's choice: until it says so, keep all.
        everything = Offset(log.first_offset - 1)
        resumes = message.next_chunk > 0
        self._pins.hold(progress.node_id, everything, now_ms, anew=not resumes)
        wish = SendSnapshot(
            progress.peer,
            message.snapshot_id,
            message.next_chunk,
            message.takes_growing,
            progress.shared,
        )
        start = self._transfers.request(wish)
        if start is not None:
            return (start,)
        detail = f"{progress.node_id} waits for a snapshot: enough are on their way"
        return (Report(Level.INFO, "snapshot_queued", detail),)

    def started(self, progress: Progress, position: Position) -> Effects:
        """This is the snapshot: keep what follows it."""
        self._pins.raise_to(progress.node_id, position.offset)
        detail = f"{progress.node_id} is sent a snapshot of {position}"
        return (Report(Level.INFO, "snapshot_started", detail),)

    def sent(self, peer: Peer) -> Effects:
        """The last frame is written: the next in the queue gets its turn."""
        self._transfers.completed += self._transfers.is_running(peer)
        return self.ended(peer)

    def ended(self, peer: Peer) -> Effects:
        """The transfer is over, or its peer is gone, which is nothing without one."""
        following = self._transfers.ended(peer)
        return () if following is None else (following,)

    def streams(self, progress: Progress, durable: Offset) -> None:
        """The replica's log is this log again; it has caught up with `durable`."""
        self._pins.streams(progress.node_id, durable)
        self._pins.acknowledged(progress.node_id, progress.acked)

    def acknowledged(self, progress: Progress) -> None:
        """The replica holds more than before: keep less for it."""
        self._pins.acknowledged(progress.node_id, progress.acked)

    def drop_expired(self, durable: Offset, now_ms: int) -> Effects:
        """Let go of what was kept for too long, or became too much."""
        return tuple(
            Report(
                Level.WARNING,
                "pin_dropped",
                f"the log waits for the full sync of {node_id} no longer: it may have "
                "to start again",
            )
            for node_id in self._pins.drop_expired(durable, now_ms, self._settings)
        )


class Transfers:
    """At most so many at once; the others in the order in which they asked."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: set[Peer] = set()
        self._waiting: deque[SendSnapshot] = deque()
        self.completed = 0

    def request(self, wanted: SendSnapshot) -> SendSnapshot | None:
        """The transfer to start now; None if it waits, or is under way already."""
        peer = wanted.peer
        if peer in self._running or any(one.peer == peer for one in self._waiting):
            return None
        if len(self._running) >= self._most:
            self._waiting.append(wanted)
            return None
        self._running.add(peer)
        return wanted

    def ended(self, peer: Peer) -> SendSnapshot | None:
        """A transfer is over, or its peer is gone; the one that starts instead."""
        if peer not in self._running:
            self._waiting = deque(one for one in self._waiting if one.peer != peer)
            return None
        self._running.remove(peer)
        return self.request(self._waiting.popleft()) if self._waiting else None

    def is_running(self, peer: Peer) -> bool:
        """Whether the peer is being sent a snapshot."""
        return peer in self._running


class Pin(msgspec.Struct):
    """The log keeps every entry after `after` until the replica holds `until`."""

    after: Offset
    since_ms: int
    until: Offset | None = None
    """None while the snapshot is not installed."""


class Pins:
    """What full syncs keep in the log: without them one could last for ever."""

    def __init__(self) -> None:
        self._pins: dict[NodeId, Pin] = {}

    def floor(self, otherwise: Offset) -> Offset:
        """The first offset that must be kept."""
        return Offset(
            min((pin.after + 1 for pin in self._pins.values()), default=otherwise)
        )

    def hold(self, node_id: NodeId, after: Offset, now_ms: int, *, anew: bool) -> None:
        """Keep what follows `after`; a transfer that is resumed gets no more time."""
        pin = self._pins.get(node_id)
        if pin is not None and not anew:
            now_ms = pin.since_ms
            after = min(after, pin.after)
        self._pins[node_id] = Pin(after, now_ms)

    def raise_to(self, node_id: NodeId, after: Offset) -> None:
        """The snapshot's position is known now."""
        if node_id in self._pins:
            self._pins[node_id].after = after

    def streams(self, node_id: NodeId, until: Offset) -> None:
        """The replica has its snapshot; it has caught up once it holds `until`."""
        if node_id in self._pins:
            self._pins[node_id].until = until

    def acknowledged(self, node_id: NodeId, acked: Offset) -> None:
        """The replica holds so much: that much less is kept for it."""
        pin = self._pins.get(node_id)
        if pin is None or pin.until is None:
            return
        pin.after = max(pin.after, acked)
        if acked >= pin.until:
            del self._pins[node_id]

    def drop_expired(
        self, durable: Offset, now_ms: int, settings: MasterSettings
    ) -> tuple[NodeId, ...]:
        """Let go of pins that are too old or hold too much; whose they were."""
        expired = tuple(
            node_id
            for node_id, pin in self._pins.items()
            if durable - pin.after > settings.pin_entries
            or now_ms - pin.since_ms > settings.pin_ms
        )
        for node_id in expired:
            del self._pins[node_id]
        return expired
