"""The cluster as server-sent events: all of it first, then what changes.

A watcher that reads slowly is sent the newest state when it is ready for it: what it
did not see between is not kept for it.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from nexus.api.figures import ClusterView, NodeView
from nexus.api.lookout import PERIOD_S, Lookout
from nexus.api.reached import as_reached
from nexus.model.token import TokenRole
from nexus.node.telemetry.events import EventLog

HEARTBEAT_S: Final = 10.0
"""After so long without an event a comment is sent: the connection is alive."""

OWN_PERIOD_S: Final = 0.25

_PLACE: Final = re.compile(r"[0-9]{1,18}")

_encode: Final = msgspec.json.Encoder().encode


class ClusterWatcher:
    """One watcher of a cluster; `last_id` is the last event that it has seen.

    `host` is where it has reached this node, `token` what it was let in with, `may`
    what it may do.

    Events: `cluster` (a ClusterView), then `node` (a NodeView, when it has changed),
    `gone` (an id), `happened` (a ClusterEvent, the only one with an id), and `looked`
    after each look.
    """

    def __init__(
        self,
        lookout: Lookout,
        last_id: str = "",
        *,
        host: str = "",
        token: str = "",
        may: TokenRole = TokenRole.ADMIN,
    ) -> None:
        self._lookout = lookout
        self._may = may
        self._host, self._token = host, token
        name, _, number = last_id.partition("-")
        is_ours = name == lookout.name and _PLACE.fullmatch(number)
        self._number = int(number) if is_ours else 0
        self._sent: dict[str, NodeView] | None = None

    async def read(self) -> bytes | None:
        """What is new; never the end."""
        if self._sent is None:
            self._sent = {}
            # At once: others may be slow to answer.
            view = as_reached(replace(self._lookout.known, may=self._may), self._host)
            return b"".join((_message("cluster", view), *self._happened()))
        if self._sent:
            await asyncio.sleep(PERIOD_S)
        view = as_reached(await self._lookout.look(self._token), self._host)
        return b"".join((*self._changes(view), *self._happened(), _message("looked")))

    def _changes(self, view: ClusterView) -> Iterator[bytes]:
        assert self._sent is not None, "the beginning was sent"
        there = {node.node_id: node for node in view.nodes}
        for node_id in self._sent.keys() - there.keys():
            yield _message("gone", node_id)
        for node_id, node in there.items():
            known = self._sent.get(node_id)
            if known is None or _timeless(known) != _timeless(node):
                yield _message("node", node)
        self._sent = there

    def _happened(self) -> Iterator[bytes]:
        for number, told in self._lookout.events_after(self._number):
            self._number = number
            place = f"{self._lookout.name}-{number}"
            yield b"id: %b\n" % place.encode() + _message("happened", told)


class EventWatcher:
    """One watcher of a single node's events."""

    def __init__(self, events: EventLog, last_id: int) -> None:
        self._events = events
        self._last_id = last_id

    async def read(self) -> bytes | None:
        """What is new; never the end."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HEARTBEAT_S
        while loop.time() < deadline:
            if found := self._events.since(self._last_id):
                self._last_id = found[-1].id
                return b"".join(
                    b"id: %d\n" % event.id + _message("happened", event)
                    for event in found
                )
            await asyncio.sleep(OWN_PERIOD_S)
        return b": nothing new\n\n"


def _timeless(node: NodeView) -> NodeView:
    """The view without the moment of the answer."""
    if node.figures is None:
        return node
    return replace(node, figures=replace(node.figures, at_us=0))


def _message(name: str, data: Any = None) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode(data))
