"""Looks at all nodes of the cluster from one of them, while anybody watches.

The first URLs are the node's own and its master's; every answer may name more. A
node that was seen once stays in view when it dies, as long as others name it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from nexus.api.connections import Received
from nexus.api.facade import NodeFacade
from nexus.api.figures import ClusterView, NodeFigures, NodeView, figures_of
from nexus.api.peers import PeerRefusesError, Peers, PeerSilentError
from nexus.api.reached import as_reached, host_of
from nexus.model.cluster import MembersView, NodeStatus
from nexus.node.telemetry.events import NodeEvent

PERIOD_S: Final = 0.5
"""From one look to the next."""

PATIENCE_S: Final = 0.5
"""So long one look waits for the answers of all."""

MOST_NODES: Final = 100
"""A cluster that names more than this sends us in circles."""

MOST_EVENTS: Final = 500
"""Of all nodes together that are kept for who comes later."""

FIGURES: Final = "/cluster/node"
STATUS: Final = "/replication/status"

_figures: Final = msgspec.json.Decoder(NodeFigures).decode


class ClusterEvent(msgspec.Struct, frozen=True):
    """An event, and on which node it was."""

    node_id: str
    event: NodeEvent


class Lookout:
    """What one node knows of its cluster; belongs to its event loop."""

    def __init__(self, node: NodeFacade) -> None:
        self._node = node
        self._peers = Peers(node)
        self._views: dict[str, NodeView] = {}
        """By node id."""
        self._latest: dict[str, int] = {}
        """The id of each node's latest event that is known."""
        self._events: deque[tuple[int, ClusterEvent]] = deque(maxlen=MOST_EVENTS)
        self._number = 0
        self._silence: dict[str, PeerSilentError] = {}
        """Why nobody answers at a URL."""
        self._token = ""
        """Of who has looked last: a node that asks for one wants it from this one."""
        self._looked_at = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._asking: dict[str, asyncio.Task[None]] = {}
        self.name = f"{time.time_ns() // 1000:x}"
        """Of this lookout's numbering of events: a restart begins another one."""

    async def look(self, token: str = "") -> ClusterView:
        """The cluster as of at most PERIOD_S ago; whoever asks meanwhile shares.

        The others are asked with the caller's token where there is no cluster secret.
        """
        self._token = token or self._token
        if self._looking is None or self._looking.done():
            loop = asyncio.get_running_loop()
            wait_s = self._looked_at + PERIOD_S - loop.time()
            if wait_s > 0 and self._views:
                return self._view()
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._looking)
        return self._view()

    @property
    def known(self) -> ClusterView:
        """The cluster as it was seen last, by itself at least."""
        return self._view()

    async def urls(self) -> list[str]:
        """Of all nodes in view, as far as they are found in a moment."""
        look = asyncio.ensure_future(self.look())
        await asyncio.wait({look}, timeout=PATIENCE_S)
        return [view.url for view in self.known.nodes if view.url]

    def events_after(self, number: int) -> list[tuple[int, ClusterEvent]]:
        """The events of all nodes behind that one, in the order of their arrival."""
        return [(place, event) for place, event in self._events if place > number]

    def url_of(self, node_id: str) -> str | None:
        """Where a node's API is; None: there is no such node in view."""
        view = self._views.get(node_id)
        return None if view is None else view.url

    def close(self) -> None:
        """Look no more."""
        for task in (self._looking, *self._asking.values()):
            if task is not None:
                task.cancel()
        self._peers.close()

    # --- One look ---------------------------------------------------------------------

    async def _look(self) -> None:
        own = self._node.node_id
        self._see(self._own(), "")
        asked: set[str] = set()
        while to_ask := self._urls() - asked:
            asked |= to_ask
            if len(asked) > MOST_NODES:
                break
            await self._ask_all(to_ask)
        self._forget(own)
        self._silence = {url: why for url, why in self._silence.items() if url in asked}
        self._looked_at = asyncio.get_running_loop().time()

    async def _ask_all(self, urls: set[str]) -> None:
        """Whoever is slow to answer is not waited for: the next look has it."""
        for url in urls:
            if url not in self._asking or self._asking[url].done():
                self._asking[url] = asyncio.create_task(self._ask(url))
        waited_for = [self._asking[url] for url in urls]
        done, _ = await asyncio.wait(waited_for, timeout=PATIENCE_S)
        self._asking = {u: a for u, a in self._asking.items() if a not in done}

    def _own(self) -> NodeFigures:
        return figures_of(self._node, self._latest.get(self._node.node_id, 0))

    def _urls(self) -> set[str]:
        """Of all others that anybody has named."""
        own = self._node.node_id
        found = {view.url for key, view in self._views.items() if key != own}
        for view in self._views.values():
            if view.figures is None or view.error:
                continue
            status = view.figures.status
            if status.master_id not in (own, ""):
                found.add(status.master_url)
            found.update(one.http_url for one in view.figures.replicas if one.id != own)
        return {url for url in found if url}

    async def _ask(self, url: str) -> None:
        known = next((one for one in self._views.values() if one.url == url), None)
        since = self._latest.get(known.node_id, 0) if known else 0
        try:
            answer = await self._peers.get(
                url, f"{FIGURES}?events_since={since}", self._token
            )
            if answer.status == HTTPStatus.NOT_FOUND:  # a release before this one
                answer = await self._peers.get(url, STATUS, self._token)
            figures = as_reached(_read(url, answer), host_of(url))
        except PeerSilentError as error:
            self._silence[url] = error
            if known is not None:
                self._views[known.node_id] = _silent(known, error)
            return
        self._silence.pop(url, None)
        if known is not None and known.node_id != figures.status.node_id:
            # Another look may have forgotten it meanwhile.
            self._views.pop(known.node_id, None)  # another node has this address now
        self._see(figures, url)

    def _see(self, figures: NodeFigures, url: str) -> None:
        status = figures.status
        for event in figures.events:
            self._latest[status.node_id] = event.id
            self._number += 1
            told = ClusterEvent(status.node_id, event)
            self._events.append((self._number, told))
        known = self._views.get(status.node_id)
        if status.master_id == status.node_id:
            url = url or status.master_url
        self._views[status.node_id] = NodeView(
            node_id=status.node_id,
            url=url or (known.url if known else ""),
            addr=known.addr if known else "",
            figures=msgspec.structs.replace(figures, events=()),
        )

    def _forget(self, own: str) -> None:
        """Who is silent and named by nobody; and note who is named and unknown."""
        answering = [
            view.figures
            for view in self._views.values()
            if view.figures is not None and not view.error
        ]
        named = dict(_named(answering))
        here = {one.url: key for key, one in self._views.items() if not one.error}
        here.pop("", None)  # of a node that has not said where its API is
        for key, view in list(self._views.items()):
            if view.error and key not in named and key != own:
                del self._views[key]
        for node_id, (url, addr) in named.items():
            known = self._views.get(node_id)
            if known is None:
                why = self._why(url, addr, here)
                known = _silent(NodeView(node_id=node_id, url=url), why)
            self._views[node_id] = msgspec.structs.replace(
                known, url=known.url or url, addr=addr or known.addr
            )

    def _why(self, url: str, addr: str, here: Mapping[str, str]) -> PeerSilentError:
        """Why nothing is known of a node; `here` are the ids of those that answer."""
        if url in here:
            return PeerSilentError(
                f"another node, {here[url]}, answers at {url}; if this one's disk is "
                "lost, make a voter of that one and remove this one"
            )
        if url:
            silent = PeerSilentError(f"{url} does not answer")
            return self._silence.get(url, silent)
        return PeerSilentError(
            f"{addr} is not connected to any node that answers, nor is its API known"
        )

    def _view(self) -> ClusterView:
        if not self._views:
            self._see(self._own(), "")
        nodes = tuple(self._views[key] for key in sorted(self._views))
        return ClusterView(self._node.node_id, nodes)


def _silent(view: NodeView, why: PeerSilentError) -> NodeView:
    refuses = isinstance(why, PeerRefusesError)
    return msgspec.structs.replace(view, error=str(why), refuses=refuses)


def _named(answering: Iterable[NodeFigures]) -> Iterable[tuple[str, tuple[str, str]]]:
    """Ids of nodes with URL and address, as masters and voters know them."""
    views = list(answering)
    for figures in views:
        members: MembersView | None = figures.members
        for member in members.members if members else ():
            if member.voter:
                yield member.id, ("", member.addr)
    for figures in views:
        for replica in figures.replicas:
            yield replica.id, (replica.http_url, replica.addr)


def _read(url: str, answer: Received) -> NodeFigures:
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise PeerRefusesError(
            f"{url} lives, and refuses its figures ({answer.status}"
            f"{_detail(answer.body)})"
        )
    if answer.status != HTTPStatus.OK:
        raise PeerSilentError(f"{url} answers {answer.status}{_detail(answer.body)}")
    try:
        return _figures(answer.body)
    except msgspec.MsgspecError:
        pass
    try:  # of a release that knows fewer figures
        status = msgspec.json.decode(answer.body)
        told: dict[str, Any] = {"failovers": 0, **status}
        return NodeFigures(
            at_us=time.time_ns() // 1000, status=msgspec.convert(told, NodeStatus)
        )
    except (msgspec.MsgspecError, TypeError):
        raise PeerSilentError(
            f"{url} is of another release: its figures cannot be read here"
        ) from None


def _detail(body: bytes) -> str:
    try:
        problem = msgspec.json.decode(body)
        return f": {problem['detail']}"
    except (msgspec.MsgspecError, KeyError, TypeError):
        return ""
