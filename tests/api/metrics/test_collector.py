"""Every figure of a node stands under a name of the catalogue."""

from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from api.fake_node import FIGURES, FakeNode
from nexus.api.metrics.catalogue import FAMILIES, Where
from nexus.api.metrics.collector import NodeCollector
from nexus.model.cluster import ArchiveStatus


def families(node: FakeNode) -> dict[str, str]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeCollector(node, FIGURES))
    ends = {"counter": "_total"}
    return {
        family.name + ends.get(family.type, ""): family.type
        for family in registry.collect()
    }


def expected(*where: Where) -> dict[str, str]:
    return {
        name: str(family.kind)
        for name, family in FAMILIES.items()
        if family.where in (Where.EVERY, *where)
    }


def test_a_master_has_all_that_the_catalogue_says_of_one(node: FakeNode) -> None:
    assert families(node) == expected(Where.MASTER)


def test_a_replica_has_all_that_the_catalogue_says_of_one(replica: FakeNode) -> None:
    assert families(replica) == expected(Where.REPLICA)


async def test_a_standalone_node_has_what_every_node_has(node: FakeNode) -> None:
    await node.stop_replication()

    assert families(node) == expected()


def test_certificate_and_archive_are_there_where_a_node_has_them(
    node: FakeNode,
) -> None:
    node.measures.certificate_expires = node.measures.revocation_list_ends = 2e9
    archive = ArchiveStatus("/backups", 7, 0, 0.0, 1.7e9, 1, 512, 1, "")
    node.current = replace(node.current, archive=archive)

    assert families(node) == expected(Where.MASTER, Where.TLS, Where.ARCHIVE)


def test_an_archive_that_fails_says_so(node: FakeNode) -> None:
    told = {}
    for error in ("", "no answer"):
        archive = ArchiveStatus("s3://b", 7, 2, 0.5, 1.7e9, 1, 512, 1, error)
        node.current = replace(node.current, archive=archive)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(NodeCollector(node, FIGURES))
        told[error] = registry.get_sample_value("nexus_archive_failing")

    assert told == {"": 0.0, "no answer": 1.0}
