from pathlib import Path

from api.fake_node import FakeNode
from nexus.api.facade import NodeFacade
from nexus.node.node import Node


def facades(directory: Path, node: Node) -> tuple[NodeFacade, NodeFacade]:
    """The type checker proves here that both fulfil the protocol."""
    return FakeNode(directory), node


def test_the_node_has_every_call_that_the_api_makes() -> None:
    made_at_the_start = {"config", "snapshots", "diverged", "events", "measures"}
    made_at_the_start |= {"security", "tokens"}
    needed = {name for name in vars(NodeFacade) if not name.startswith("_")}

    assert needed - made_at_the_start <= set(dir(Node))
