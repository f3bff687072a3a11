"""Order a cluster's nodes so that each stands below the one that it follows."""

from collections.abc import Iterator, Sequence
from typing import Final

from nexus.cli.cluster import NodeView

BRANCH: Final = "└ "


def branched(views: Sequence[NodeView]) -> Iterator[tuple[str, NodeView]]:
    """Each view once, with what its name is indented by: replicas of replicas are."""
    shown = {view.status.get("node_id"): view for view in views}
    below: dict[str, list[NodeView]] = {}
    roots = []
    for view in views:
        up = shown.get(view.status.get("upstream_id") or None)
        is_relay = up is not None and up is not view and up.role == "replica"
        if is_relay:
            below.setdefault(str(view.status["upstream_id"]), []).append(view)
        else:
            roots.append(view)
    left = {id(view) for view in views}
    for root in [*roots, *views]:  # of nodes that follow each other none is a root
        yield from _branch(root, below, left, 0)


def _branch(
    view: NodeView, below: dict[str, list[NodeView]], left: set[int], depth: int
) -> Iterator[tuple[str, NodeView]]:
    if id(view) not in left:
        return
    left.discard(id(view))
    yield ("  " * (depth - 1) + BRANCH if depth else ""), view
    for each in below.get(str(view.status.get("node_id")), ()):
        yield from _branch(each, below, left, depth + 1)
