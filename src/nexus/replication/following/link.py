"""A replica's connection to its master: its state, its deadlines, the next try."""

from collections.abc import Callable
from typing import Final

from nexus.model.cluster import LinkState
from nexus.protocol.messages import ErrorCode, Message
from nexus.replication.effects import MASTER, Connect, Disconnect, Effects, Send
from nexus.replication.following.route import Route
from nexus.replication.settings import ReplicaSettings
from nexus.replication.timing.backoff import Backoff

MOVES: Final = {
    LinkState.STOPPED: {LinkState.CONNECTING},
    LinkState.CONNECTING: {
        LinkState.STREAMING,
        LinkState.PAUSED,
        LinkState.REWINDING,
        LinkState.FULL_SYNC,
        LinkState.RECONNECTING,
        LinkState.STOPPED,
    },
    LinkState.REWINDING: {
        LinkState.STREAMING,
        LinkState.PAUSED,
        LinkState.FULL_SYNC,
        LinkState.RECONNECTING,
        LinkState.STOPPED,
    },
    LinkState.STREAMING: {
        LinkState.PAUSED,
        LinkState.FULL_SYNC,
        LinkState.RECONNECTING,
        LinkState.STOPPED,
    },
    LinkState.PAUSED: {
        LinkState.STREAMING,
        LinkState.FULL_SYNC,
        LinkState.RECONNECTING,
        LinkState.STOPPED,
    },
    LinkState.FULL_SYNC: {LinkState.RECONNECTING, LinkState.STOPPED},
    LinkState.RECONNECTING: {LinkState.CONNECTING, LinkState.STOPPED},
}
"""PAUSED streams, stores and acknowledges, but applies nothing."""

SIGN_BYTES: Final = 4 << 10
"""So much of a message that is not whole yet is a sign of life, as a whole one is."""

STREAMS: Final = frozenset({LinkState.STREAMING, LinkState.PAUSED})
WELCOMED: Final = STREAMS | {LinkState.REWINDING, LinkState.FULL_SYNC}


class Link:
    """Knows when to give up; what is said over the link is the replica's matter."""

    def __init__(self, settings: ReplicaSettings, random: Callable[[], float]) -> None:
        self._settings = settings
        self._route = Route(
            settings.addresses, retries(settings, random), settings.first_tries
        )
        self.state = LinkState.STOPPED
        # Not computed: an enum's hash costs more than the rest of an entry's way.
        self.streams = False
        """Whether entries and acks are exchanged."""
        self.is_welcome = False
        """Whether a master has accepted this replica, and the connection stands."""
        self.last_error = ""
        self.reconnects = 0
        self._deadline_ms: int | None = None
        """Until when the Welcome must come; None while no connection stands."""
        self._dead_after_ms = 0
        self._heard_ms = 0
        self._part_bytes = 0
        """What has come of a message since the last sign of life."""
        self._said_ms = 0
        self._streams_since_ms = 0
        self.awaits_disk = False
        """A snapshot is being installed, or entries are taken back: where this node
        stands is not known, so no connection is asked for until that has ended."""

    @property
    def address(self) -> str:
        """The master's, as far as is known."""
        return self._route.target

    @property
    def home(self) -> str:
        """The address that it was given first."""
        return self._route.home

    @property
    def awaits_welcome(self) -> bool:
        """Whether the connection stands and Hello was said."""
        return self._deadline_ms is not None

    def started(self) -> Effects:
        """Look for a master."""
        self._move(LinkState.CONNECTING)
        return (self._route.now(),)

    def stopped(self) -> Effects:
        """Leave; nothing, if there is nothing to leave."""
        if self.state is LinkState.STOPPED:
            return ()
        self._deadline_ms = None
        self._move(LinkState.STOPPED)
        return (Disconnect("this replica stops", ErrorCode.STOPPING),)

    def connected(self, now_ms: int) -> None:
        """The connection stands; Welcome must come within the connect timeout."""
        self._move(LinkState.CONNECTING)
        self._deadline_ms = now_ms + self._settings.connect_timeout_ms
        self.heard(now_ms)

    def heard(self, now_ms: int) -> None:
        """The master lives: a message of it has come."""
        self._heard_ms, self._part_bytes = now_ms, 0

    def grows(self, size_bytes: int, now_ms: int) -> None:
        """So many bytes have come of a message that is not whole yet.

        A slow line brings a large one; one that only drips is none, for all its bytes.
        """
        self._part_bytes += size_bytes
        if self._part_bytes >= SIGN_BYTES:
            self.heard(now_ms)

    def welcomed(self, heartbeat_ms: int, now_ms: int) -> None:
        """A good connection; the master pings every `heartbeat_ms`."""
        self._deadline_ms = None
        slower_ms = max(self._settings.heartbeat_ms, heartbeat_ms)
        self._dead_after_ms = slower_ms * self._settings.missed_heartbeats
        self._said_ms = self._streams_since_ms = now_ms
        self._route.succeeded()

    def learn(self, address: str) -> None:
        """Where the upstream finds its own: a place to go to when it dies."""
        self._route.learn(address)

    def begins_streaming(self, *, paused: bool) -> None:
        """The logs match; also how pause and resume are shown."""
        self._move(LinkState.PAUSED if paused else LinkState.STREAMING)
        self.last_error = ""

    def begins_rewind(self) -> None:
        """What this node has more than the master is being taken back."""
        self._move(LinkState.REWINDING)
        self.awaits_disk = True

    def begins_full_sync(self) -> None:
        """A snapshot will replace what this node has."""
        self._move(LinkState.FULL_SYNC)

    def is_steady(self, now_ms: int) -> bool:
        """Whether it has streamed for long enough to call it well."""
        since_ms = now_ms - self._streams_since_ms
        return self.streams and since_ms >= self._settings.steady_ms

    def overdue(self, now_ms: int) -> str:
        """Why the master counts as dead, empty while it does not."""
        if self._deadline_ms is not None and now_ms > self._deadline_ms:
            return "the master did not answer Hello in time"
        silent_ms = now_ms - self._heard_ms
        if self.is_welcome and silent_ms > self._dead_after_ms:
            return f"nothing heard from the master for {silent_ms} ms"
        return ""

    def heartbeat_due(self, now_ms: int) -> bool:
        """Whether nothing was said for a heartbeat."""
        said_ms_ago = now_ms - self._said_ms
        return self.is_welcome and said_ms_ago >= self._settings.heartbeat_ms

    def say(self, message: Message, now_ms: int) -> Send:
        """The message, which counts as a sign of life."""
        self._said_ms = now_ms
        return Send(MASTER, message)

    def given_up(
        self, reason: str, code: ErrorCode | None = None, instead: Connect | None = None
    ) -> Effects:
        """Close the connection, then try again: as usual, or as `instead` says."""
        return (Disconnect(reason, code), *self.broken(reason, instead))

    def broken(self, reason: str, instead: Connect | None = None) -> Effects:
        """The connection is gone, or was not had; nothing happens when stopped."""
        if self.state is LinkState.STOPPED:
            return ()
        self.reconnects += self.is_welcome
        self._deadline_ms = None
        self.last_error = reason
        self._move(LinkState.RECONNECTING)
        if self.awaits_disk:
            return ()
        return (instead or self._route.after_failure(),)

    def disk_done(self, failure: str) -> Effects:
        """The disk's work has ended, and with it the wait of a link lost meanwhile."""
        waited, self.awaits_disk = self.awaits_disk, False
        if not waited or self.state is not LinkState.RECONNECTING:
            return ()
        return (self._route.after_failure() if failure else self._route.now(),)

    def same_master(self) -> Connect:
        """Instead: to the same address at once, for nothing has failed."""
        return self._route.now()

    def other_master(self, address: str, *, at_once: bool) -> Connect:
        """Instead: to the master that was named."""
        return self._route.to(address, at_once=at_once)

    def _move(self, state: LinkState) -> None:
        if state is not self.state:
            assert state in MOVES[self.state], f"no move: {self.state} to {state}"
            self.state = state
            self.streams = state in STREAMS
            self.is_welcome = state in WELCOMED


def retries(settings: ReplicaSettings, random: Callable[[], float]) -> Backoff:
    """The delays between tries, as the settings have them."""
    return Backoff(
        first_ms=settings.retry_first_ms,
        most_ms=settings.retry_most_ms,
        random=random,
    )
