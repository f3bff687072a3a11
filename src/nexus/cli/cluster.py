"""Find a cluster's nodes from a few URLs, and ask all of them how they fare."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final

from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import CALL_ERRORS, NodeCallError, Remote, base_url

MOST_NODES: Final = 100
"""A cluster that names more than this sends us in circles."""

STATUS_TIMEOUT_S: Final = 5.0
"""A node that lives answers its status at once."""

REFUSALS: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
"""Of a node that lives, and wants another credential."""

WRITERS: Final = ("master", "standalone")


@dataclass(frozen=True, slots=True)
class NodeView:
    """What one node said, or why it said nothing."""

    url: str
    named: bool
    """Given by the user, not found through another node."""
    status: dict[str, Any] = field(default_factory=dict)
    replicas: tuple[dict[str, Any], ...] = ()
    error: str = ""
    refuses: bool = False
    """It answered, and its error is that it lets us not in."""

    @property
    def role(self) -> str:
        """As the node says it, or nothing."""
        return str(self.status.get("role", ""))


def look(urls: Iterable[str], secret: str) -> tuple[NodeView, ...]:
    """Every node that `urls` lead to, the named first; each node once."""
    named = list(dict.fromkeys(base_url(url) for url in urls))
    waiting = deque(named)
    asked: set[str] = set()
    views: dict[str, NodeView] = {}
    names: dict[str, str] = {}
    while waiting and len(asked) < MOST_NODES:
        url = waiting.popleft()
        if url in asked:
            continue
        asked.add(url)
        view = _ask(url, secret, named=url in named)
        if view.error and url in names:
            view = replace(view, status={"node_id": names[url], **view.status})
        key = view.status.get("node_id") or url
        if key not in views or views[key].error:
            views[key] = view
        rows = (row for row in view.replicas if _url(row) and row.get("id"))
        names.update((base_url(_url(row)), str(row["id"])) for row in rows)
        waiting.extend(_others(view))
    return tuple(views.values())


def look_for_all(urls: Iterable[str], secret: str) -> tuple[NodeView, ...]:
    """The same, and each voter that is known to no other node than by its name.

    Without them a cluster that has lost half of its voters would look whole.
    """
    views = look(urls, secret)
    return (*views, *_absent(views, secret))


def _absent(views: tuple[NodeView, ...], secret: str) -> Iterator[NodeView]:
    """The voters of the configuration in force that no view is of."""
    answering = [view for view in views if not view.error]
    asked = next((one for one in answering if one.role == "master"), None)
    asked = asked or next(iter(answering), None)
    members = [one for one in _members(asked, secret) if one.get("voter")]
    shown = {view.status.get("node_id") for view in views}
    moved_in = _moved_in(views)
    # These are in the table, by their URLs, whether they answer or not.
    rows = (row for view in views for row in view.replicas)
    shown |= {row.get("id") for row in rows if _url(row)} - set(moved_in)
    silent = {_host(view.url) for view in views if view.error}
    hosts = [_host(str(one.get("addr"))) for one in members]
    for one, host in zip(members, hosts, strict=True):
        if one.get("id") in shown or (host in silent and hosts.count(host) == 1):
            continue
        yield NodeView(
            url=str(one.get("addr")),
            named=False,
            status={"node_id": one.get("id")},
            error=f"{one.get('addr')}: {_where(moved_in.get(one.get('id')), asked)}",
        )


def _moved_in(views: tuple[NodeView, ...]) -> dict[Any, NodeView]:
    """Who answers at the URL of a replica and is another node; by the replica's id."""
    answering = {view.url: view for view in views if not view.error}
    rows = [row for view in views for row in view.replicas if _url(row)]
    found = ((row.get("id"), answering.get(base_url(_url(row)))) for row in rows)
    return {
        key: view
        for key, view in found
        if view is not None and view.status.get("node_id") != key
    }


def _where(other: NodeView | None, asked: NodeView | None) -> str:
    """What `asked` knows of a voter that no view is of; `other` answers at its URL."""
    if other is not None:
        return (
            f"this voter is gone: another node, {other.status.get('node_id')}, answers "
            f"at {other.url}. If its disk is lost, make a voter of that one and remove "
            "this one (nexus member)"
        )
    if asked is None or asked.role != "master":
        return (
            "no master answers that could tell of this voter; start it if it is down, "
            "else see its log"
        )
    return (
        "this voter is not connected to any node that answers; start it, or see its "
        "log. If its disk is lost, make a voter of another node and remove this one"
    )


def _members(view: NodeView | None, secret: str) -> list[dict[str, Any]]:
    if view is None:
        return []
    with Remote(view.url, secret) as remote:
        try:
            answer = remote.get("/cluster/members", timeout=STATUS_TIMEOUT_S)
        except CALL_ERRORS:
            return []  # of a release that has no members, or it has gone meanwhile
    return list(answer.get("members", ()))


def _url(row: dict[str, Any]) -> str:
    return str(row.get("http_url") or "")


def _host(address: str) -> str:
    return address.rpartition("://")[2].rpartition(":")[0]


def master_of(views: Iterable[NodeView]) -> NodeView:
    """The one node that takes writes; NotDoneError where there is none, or two."""
    views = tuple(views)
    masters = [view for view in views if view.role in WRITERS and not view.error]
    if not masters and (refusing := [view for view in views if view.refuses]):
        raise NotDoneError(refusing[0].error)
    if not masters:
        raise NotDoneError(
            "none of these nodes is a master just now; name the master's URL as well. "
            "Where voters elect one, a majority of them must run (nexus status URL); "
            "elsewhere promote a replica (nexus promote URL)"
        )
    if len(masters) > 1:
        urls = " and ".join(view.url for view in masters)
        raise NotDoneError(
            f"{urls} all take writes; name the nodes of one cluster, and see "
            "nexus status for their cluster ids"
        )
    return masters[0]


def _ask(url: str, secret: str, *, named: bool) -> NodeView:
    with Remote(url, secret) as remote:
        try:
            status = remote.get("/replication/status", timeout=STATUS_TIMEOUT_S)
            replicas = _replicas_of(remote, str(status.get("role")))
        except CALL_ERRORS as error:
            refuses = isinstance(error, NodeCallError) and error.status in REFUSALS
            known = _known_of(remote) if refuses else {}
            return NodeView(
                url=url, named=named, status=known, error=str(error), refuses=refuses
            )
    return NodeView(url=url, named=named, status=status, replicas=replicas)


def _known_of(remote: Remote) -> dict[str, Any]:
    """What a node tells everybody of itself: a load balancer has no token."""
    try:
        answer = remote.get("/health", timeout=STATUS_TIMEOUT_S)
    except CALL_ERRORS:
        return {}
    return {name: answer[name] for name in ("node_id", "role") if name in answer}


def _replicas_of(remote: Remote, role: str) -> tuple[dict[str, Any], ...]:
    """Of a master; of a replica too, which still knows those that have gone."""
    if role not in ("master", "replica"):
        return ()
    try:
        answer = remote.get("/replication/replicas", timeout=STATUS_TIMEOUT_S)
    except NodeCallError:
        if role == "replica":
            return ()  # nobody has followed it
        raise
    return tuple(answer.get("replicas", ()))


def _others(view: NodeView) -> Iterator[str]:
    found = [view.status.get("master_url"), *(r.get("http_url") for r in view.replicas)]
    return (base_url(url) for url in found if url)
