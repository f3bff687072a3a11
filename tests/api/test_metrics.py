from prometheus_client.parser import text_string_to_metric_families

from api.fake_node import FakeNode, client_of

UNITS = ("offset", "entries", "seconds", "bytes")


async def scraped(node: FakeNode) -> dict[str, dict[tuple[str, ...], float]]:
    async with client_of(node) as client:
        answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found = samples.setdefault(sample.name, {})
            found[tuple(sample.labels.values())] = sample.value
    return samples


async def test_a_master_tells_of_itself_and_of_each_replica(node: FakeNode) -> None:
    samples = await scraped(node)

    assert samples["nexus_wal_offset"] == {(): 12.0}
    assert samples["nexus_sent_bytes_total"] == {(): 600.0}
    assert samples["nexus_replica_lag_entries"] == {("r1",): 1.0}
    assert samples["nexus_replica_sent_bytes_total"] == {("r1",): 600.0}
    assert samples["nexus_state"]["streaming",] == 1.0
    assert sum(samples["nexus_state"].values()) == 1.0
    assert "nexus_full_syncs_total" not in samples


async def test_a_replica_tells_of_its_lag(replica: FakeNode) -> None:
    samples = await scraped(replica)

    assert samples["nexus_lag_entries"] == {(): 2.0}
    assert samples["nexus_lag_seconds"] == {(): 0.5}
    assert samples["nexus_full_syncs_total"] == {(): 1.0}
    assert "nexus_sent_bytes_total" not in samples


async def test_a_standalone_node_tells_of_its_log(node: FakeNode) -> None:
    await node.stop_replication()

    samples = await scraped(node)

    assert samples["nexus_durable_offset"] == {(): 12.0}


async def test_names_begin_with_nexus_and_have_their_unit_last(node: FakeNode) -> None:
    names = {name.removesuffix("_total") for name in await scraped(node)}

    assert all(name.startswith("nexus_") for name in names)
    for name in names:
        assert not any(f"_{unit}_" in name for unit in UNITS), name
