"""Look at a cluster again and again: who was there before, and how fast each goes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from nexus.cli.cluster import NodeView

Look = Callable[[Iterable[str]], tuple[NodeView, ...]]


@dataclass(frozen=True, slots=True)
class Glance:
    """What one look has shown."""

    views: tuple[NodeView, ...]
    rates: dict[str, float] = field(default_factory=dict)
    """Entries a second that a node has applied since the look before; by its id."""


class Watch:
    """Remembers the nodes it has met: one that dies stays in sight until it is back."""

    def __init__(
        self, urls: Iterable[str], look: Look, now_s: Callable[[], float]
    ) -> None:
        self._urls = list(urls)
        self._look = look
        self._now_s = now_s
        self._met: dict[str, str] = {}
        """The id of the node that has answered at a URL."""
        self._stood: dict[str, tuple[float, int]] = {}
        """When a node was at which entry."""

    def glance(self) -> Glance:
        """Look once more."""
        views = self._look(self._urls)
        now_s = self._now_s()
        rates: dict[str, float] = {}
        for view in views:
            if view.error:
                continue
            node_id = str(view.status.get("node_id", ""))
            self._met[view.url] = node_id
            if view.url not in self._urls:
                self._urls.append(view.url)
            rate = self._rate(node_id, int(view.status.get("applied_offset", 0)), now_s)
            if rate is not None:
                rates[node_id] = rate
        return Glance(self._known(views), rates)

    def _rate(self, node_id: str, offset: int, now_s: float) -> float | None:
        """None at first, and after entries were taken back."""
        before = self._stood.get(node_id)
        self._stood[node_id] = now_s, offset
        if before is None or offset < before[1] or now_s <= before[0]:
            return None
        return (offset - before[1]) / (now_s - before[0])

    def _known(self, views: tuple[NodeView, ...]) -> tuple[NodeView, ...]:
        """Whoever does not answer has its name of before; each node once."""
        here = {view.status.get("node_id") for view in views if not view.error}
        shown = []
        for view in views:
            if not view.error:
                shown.append(view)
                continue
            known = str(view.status.get("node_id", ""))  # a voter that nobody meets
            node_id = self._met.get(view.url, known)
            if node_id and node_id in here:
                continue  # it answers at another URL
            here.add(node_id)
            shown.append(replace(view, status={"node_id": node_id} if node_id else {}))
        return tuple(shown)
