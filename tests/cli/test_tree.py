"""Who follows whom, in the table of a cluster."""

from cli.fake_nodes import node_status
from nexus.cli.cluster import NodeView
from nexus.cli.tree import branched


def view(node_id: str, role: str = "replica", up: str = "m") -> NodeView:
    status = node_status(
        role, node_id=node_id, upstream_id=up if role != "master" else ""
    )
    return NodeView(url=f"http://{node_id}", named=True, status=status)


def drawn(*views: NodeView) -> list[str]:
    return [
        place + str(one.status.get("node_id", "?")) for place, one in branched(views)
    ]


def test_a_replica_stands_below_the_replica_that_it_follows() -> None:
    found = drawn(
        view("c", up="b"), view("a"), view("m", "master"), view("b", up="a"), view("d")
    )

    assert found == ["a", "└ b", "  └ c", "m", "d"]


def test_each_node_is_shown_once_even_where_nodes_follow_each_other() -> None:
    silent = NodeView(url="http://x", named=True, error="does not answer")

    assert drawn(view("a", up="b"), view("b", up="a"), silent) == ["?", "a", "└ b"]
