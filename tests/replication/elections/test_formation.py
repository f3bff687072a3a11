"""A cluster is formed once, of nodes of no cluster that all answer."""

from nexus.model.cluster import NodeId
from nexus.model.position import Offset
from nexus.replication.elections.formation import (
    Formed,
    Joins,
    Sighting,
    Waits,
    cluster_id_of,
    formation,
)

OWN = NodeId("a")
VOTERS = (("a", "a:1"), ("b", "b:1"), ("c", "c:1"))


def empty(node_id: str, cluster_id: str = "") -> Sighting:
    """A node without an entry."""
    return Sighting(NodeId(node_id), cluster_id, Offset(0))


def all_empty() -> dict[str, Sighting | None]:
    """Every listed node answers and has nothing."""
    return {address: empty(node_id) for node_id, address in VOTERS}


def test_nodes_that_are_all_empty_form_the_same_cluster_each_by_itself() -> None:
    formed = [formation(NodeId(node_id), all_empty()) for node_id, _ in VOTERS]
    assert [type(one) for one in formed] == [Formed] * 3
    assert len(set(formed)) == 1
    assert isinstance(formed[0], Formed)
    assert formed[0].configuration.voters == VOTERS
    assert formed[0].configuration.cluster_id == cluster_id_of(VOTERS)


def test_a_node_that_was_away_while_the_others_formed_it_forms_the_same() -> None:
    cluster_id = cluster_id_of(VOTERS)
    answers = all_empty() | {"b:1": empty("b", cluster_id)}
    assert formation(OWN, answers) == formation(OWN, all_empty())


def test_nothing_is_formed_while_a_listed_node_is_silent() -> None:
    decided = formation(OWN, all_empty() | {"c:1": None})
    assert isinstance(decided, Waits)
    assert "c:1 does not (2 of 3 do)" in decided.reason


def test_a_new_node_at_a_known_address_joins_and_forms_nothing() -> None:
    working = Sighting(NodeId("b"), "cluster", Offset(7))
    decided = formation(OWN, all_empty() | {"b:1": working, "c:1": None})
    assert decided == Joins(("b:1",))


def test_a_node_of_a_cluster_of_other_peers_is_no_voter_here() -> None:
    decided = formation(OWN, all_empty() | {"b:1": empty("b", "another")})
    assert isinstance(decided, Waits)
    assert "b:1 belongs to cluster another" in decided.reason


def test_a_list_that_leads_to_one_node_twice_is_refused() -> None:
    decided = formation(OWN, all_empty() | {"d:1": empty("b")})
    assert isinstance(decided, Waits)
    assert "two addresses" in decided.reason


def test_a_list_without_this_node_forms_nothing() -> None:
    decided = formation(NodeId("z"), all_empty())
    assert isinstance(decided, Waits)
    assert "add its own replication.bind_addr" in decided.reason


def imported(node_id: str) -> Sighting:
    """A node with an imported database, over which nobody has reigned."""
    return Sighting(NodeId(node_id), "", Offset(1), imported=True)


def test_one_node_with_an_imported_database_is_the_founder() -> None:
    answers = all_empty() | {"b:1": imported("b")}
    formed = [formation(NodeId(node_id), answers) for node_id, _ in VOTERS]
    assert len(set(formed)) == 1
    assert isinstance(formed[0], Formed)
    assert formed[0].founder == "b"
    assert formed[0].configuration.voters == VOTERS


def test_two_imported_databases_form_nothing() -> None:
    answers = all_empty() | {"b:1": imported("b"), "a:1": imported("a")}
    decided = formation(OWN, answers)
    assert isinstance(decided, Waits)
    assert "2 of the listed nodes hold an imported database" in decided.reason


def test_an_imported_database_is_not_given_up_for_a_cluster_that_exists() -> None:
    working = Sighting(NodeId("b"), "cluster", Offset(7))
    decided = formation(OWN, all_empty() | {"b:1": working, "a:1": imported("a")})
    assert isinstance(decided, Waits)
    assert "would replace the database imported here" in decided.reason
