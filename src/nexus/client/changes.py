"""Follow the change feed: from node to node, each change once and in order.

with nexus.changes("http://a:15474,http://b:15474", since=place) as feed:
    for change in feed:
        print(change.op, change.table, change.key, change.new)
        place = change.id
"""

import math
import random
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Final, Protocol, Self, runtime_checkable

import msgspec
from typing_extensions import override

from nexus.client.feedlink import LEAST_HEARTBEAT_S, FeedLink, Query
from nexus.client.target import token_at_hand
from nexus.client.trust import FilePath, Trust
from nexus.errors import (
    ChangesGoneError,
    NexusError,
    NodeUnreachableError,
    PositionLostError,
    ProtocolError,
    RequestError,
)
from nexus.model.change import Change, Place
from nexus.model.position import Position

__all__ = ["Change", "Changes", "ChangesSource", "Feed", "Since", "Wanted", "changes"]

FIRST_PAUSE_S: Final = 0.1
MOST_PAUSE_S: Final = 5.0
"""Between two rounds over all nodes."""

LEAST_LOOK_S: Final = 0.05
"""For one node, however little time is left."""

MOST_NODES: Final = 32
"""Addresses that are tried; the oldest stay."""

Since = str | int | Position | Place | None

_MINE: Final = (RequestError, ProtocolError)
"""Another node would say the same."""


class Feed(Protocol):
    """Changes as they come, for one thread at a time but for `stop`."""

    def __iter__(self) -> Iterator[Change]:
        """Itself."""

    def __next__(self) -> Change:
        """The next change; waits for it."""

    def stop(self) -> None:
        """End it, from any thread: whoever waits for a change is given none."""


@runtime_checkable
class ChangesSource(Protocol):
    """A session that has a change feed to read."""

    def changes(self, wanted: "Wanted") -> Feed:
        """What `nexus.changes` gives, of the place where this session reads."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What of the feed is to be read."""

    since: Since = None
    """After which change; None: from the next one on."""
    tables: Sequence[str] = ()
    """Only rows and counters of these; none: of all."""
    until: int | None = None
    """End after the entry at that offset."""
    limit: int | None = None
    """End after so many changes."""
    follow: bool = True
    """False: end with the last entry that is applied when the node is asked."""
    heartbeat_s: float = 5.0
    """How often a silent feed is to say that it lives; at least 0.1."""

    def __post_init__(self) -> None:
        if isinstance(self.tables, str):  # one name is no list of letters
            msgspec.structs.force_setattr(self, "tables", (self.tables,))

    @property
    def is_bounded(self) -> bool:
        """Whether an answer that ends is complete."""
        return self.until is not None or not self.follow

    def query(self, position: str, limit: int | None) -> Query:
        """As a node takes it, behind this place."""
        found: list[tuple[str, str | int]] = [("table", name) for name in self.tables]
        heartbeat_s = max(self.heartbeat_s, LEAST_HEARTBEAT_S)
        found.append(("heartbeat_ms", int(heartbeat_s * 1000)))
        if position:
            found.append(("since", position))
        if self.until is not None:
            found.append(("until", self.until))
        if limit is not None:
            found.append(("limit", limit))
        if not self.follow:
            found.append(("follow", "false"))
        return found


def changes(  # noqa: PLR0913 - each is an option by its name
    urls: str | Sequence[str],
    *,
    since: Since = None,
    tables: Sequence[str] = (),
    until: int | None = None,
    limit: int | None = None,
    follow: bool = True,
    secret: str = "",
    token: str = "",
    timeout: float | None = 60.0,
    heartbeat: float = 5.0,
    tls: ssl.SSLContext | None = None,
    ca_file: FilePath | None = None,
    cert_file: FilePath | None = None,
    key_file: FilePath | None = None,
) -> "Changes":
    """Every committed change after `since`; None: what comes from now on.

    `urls` are HTTP addresses of nodes, separated by commas if they are one text; others
    are found. `since` is a change's `id`, a connection's `last_position` or an offset.
    `token` lets the reader in, or `secret`, the cluster's; else NEXUS_TOKEN does.
    Lost nodes are left for others: after `timeout` seconds without any (None: never) it
    raises NodeUnreachableError. ChangesGoneError and PositionLostError say that nobody
    can go on from there. `heartbeat`: after three times so many seconds of silence a
    node counts as dead.
    """
    listed = urls.split(",") if isinstance(urls, str) else urls
    if any(url.strip().startswith("nexus:") for url in listed):
        raise RequestError(
            "the feed is read over HTTP: name addresses like http://127.0.0.1:15474, "
            "or use nexus.connect(…).changes()"
        )
    trust = Trust(tls, ca_file, cert_file, key_file)
    wanted = Wanted(
        since=since,
        tables=tables,
        until=until,
        limit=limit,
        follow=follow,
        heartbeat_s=heartbeat,
    )
    return Changes(
        FeedLink(token or secret or token_at_hand(), heartbeat, trust.context()),
        [url.strip().rstrip("/") for url in listed if url.strip()],
        wanted,
        timeout_s=timeout,
    )


class Changes(Iterator[Change]):
    """Changes as they come; iterate over it, and close it, or use it in `with`."""

    def __init__(
        self,
        link: FeedLink,
        urls: Sequence[str],
        wanted: Wanted,
        *,
        timeout_s: float | None = None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        if not urls:
            raise RequestError("name one node's HTTP address at least")
        since = wanted.since
        if isinstance(since, Position):
            since = Place(since)
        self.position = "" if since is None else str(since)
        """Behind what was read last, heartbeats included: `since` for another time."""
        self.url = ""
        """The node that is read."""
        self._link = link
        self._urls = list(dict.fromkeys(urls))
        self._wanted = wanted
        self._left = wanted.limit
        self._timeout_s = timeout_s
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._changes = self._follow()

    @override
    def __iter__(self) -> Self:
        return self

    @override
    def __next__(self) -> Change:
        return next(self._changes)

    def stop(self) -> None:
        """End it, from any thread: whoever waits for a change is given none."""
        self._stopped.set()
        self._link.break_off()

    def close(self) -> None:
        """Read no more."""
        self._changes.close()
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    def _follow(self) -> Generator[Change]:
        try:
            while self._left != 0 and not self._stopped.is_set():
                answer = self._reach()
                try:
                    yield from self._read(answer)
                except NexusError as error:
                    _require_another(error)
                    self._urls.remove(self.url)
                    self._urls.append(self.url)
                    continue
                if self._wanted.is_bounded:
                    return
        finally:
            self._link.close()

    def _read(self, answer: Iterator[Change]) -> Iterator[Change]:
        while not self._stopped.is_set():
            change = next(answer, None)
            if change is None:
                return
            self.position = change.id
            if change.op != "heartbeat":
                self._left = None if self._left is None else self._left - 1
                yield change
            if self._left == 0:
                return

    def _reach(self) -> Iterator[Change]:
        """The answer of the first node that gives one."""
        begun_s, pause_s = time.monotonic(), FIRST_PAUSE_S
        query = self._wanted.query(self.position, self._left)
        while not self._stopped.is_set():
            told: list[NexusError] = []
            for url in list(self._urls):
                try:
                    opened = self._link.open(url, query, self._left_s(begun_s))
                except NexusError as error:
                    _require_another(error)
                    told.append(error)
                else:
                    self._reached(url)
                    return opened
            self._raise_if_hopeless(told, time.monotonic() - begun_s)
            pause = pause_s * random.uniform(0.75, 1.0)  # noqa: S311 - a pause's
            self._sleep(min(pause, self._left_s(begun_s)))
            pause_s = min(pause_s * 2, MOST_PAUSE_S)
        return iter(())

    def _left_s(self, begun_s: float) -> float:
        """Until the timeout; at least enough to look once."""
        if self._timeout_s is None:
            return math.inf
        return max(LEAST_LOOK_S, begun_s + self._timeout_s - time.monotonic())

    def _reached(self, url: str) -> None:
        """Try it first from now on, and learn of the others."""
        self.url = url
        self._urls.remove(url)
        known = dict.fromkeys((url, *self._urls, *self._link.known_nodes(url)))
        self._urls = list(known)[:MOST_NODES]

    def _raise_if_hopeless(self, told: Sequence[NexusError], passed_s: float) -> None:
        """Once every node was asked, and none has given changes."""
        for error in told:
            if isinstance(error, PositionLostError):
                raise error
        gone = [error for error in told if isinstance(error, ChangesGoneError)]
        rest = [error for error in told if error not in gone]
        if gone and all(isinstance(error, NodeUnreachableError) for error in rest):
            raise min(gone, key=lambda error: error.oldest_offset)
        if self._timeout_s is not None and passed_s >= self._timeout_s:
            raise NodeUnreachableError(
                f"no node has given changes for {passed_s:.0f} s: "
                + "; ".join(map(str, told))
            )


def _require_another(error: NexusError) -> None:
    """Raise what another node would say as well."""
    if isinstance(error, _MINE):
        raise error
