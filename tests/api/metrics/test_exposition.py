import msgspec
from prometheus_client.parser import text_string_to_metric_families

from api.fake_node import FakeNode, client_of


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


async def test_what_is_timed_is_a_histogram(node: FakeNode) -> None:
    for _ in range(4):
        node.measures.commit.observe(0.003)

    samples = await scraped(node)

    buckets = samples["nexus_commit_seconds_bucket"]
    assert (buckets["0.0025",], buckets["0.005",], buckets["+Inf",]) == (0, 4, 4)
    assert samples["nexus_commit_seconds_count"] == {(): 4.0}
    assert samples["nexus_commit_seconds_sum"] == {(): 0.012}


async def test_counts_have_what_came_of_them_as_label(node: FakeNode) -> None:
    node.measures.unknown += 2
    node.measures.http_connections = lambda: 5

    samples = await scraped(node)

    assert samples["nexus_transactions_total"]["unknown",] == 2.0
    assert samples["nexus_rejected_peers_total"] == {("malformed",): 3.0}
    connections = {("node",): 1.0, ("client",): 2.0, ("http",): 5.0}
    assert samples["nexus_open_connections"] == connections


async def test_http_answers_are_counted_by_class(node: FakeNode) -> None:
    async with client_of(node) as client:
        await client.get("/health")
        await client.get("/nowhere")
        await client.post("/sql", json={"statements": [{"sql": "select 1"}]})
        await client.post("/sql", json={})

    assert node.measures.http == {"2xx": 2, "4xx": 2}


async def test_the_process_and_its_versions_are_told(node: FakeNode) -> None:
    samples = await scraped(node)

    assert samples["process_resident_memory_bytes"][()] > 0
    ((_version, python, _sqlite), one), *_ = samples["nexus_build_info"].items()
    assert python.startswith("3.")
    assert one == 1.0


async def test_failovers_are_those_of_the_status(node: FakeNode) -> None:
    node.current = msgspec.structs.replace(node.current, failovers=3)

    samples = await scraped(node)

    assert samples["nexus_failovers_total"] == {(): 3.0}
    assert samples["nexus_switchovers_total"] == {(): 0.0}


async def test_what_has_happened_is_counted_by_kind(node: FakeNode) -> None:
    node.events.warning("stepping_down", "a higher epoch was met")
    node.events.warning("quorum_lost", "1 of 2 are there")

    samples = await scraped(node)

    kinds = {("stepping_down",): 1.0, ("quorum_lost",): 1.0}
    assert samples["nexus_events_total"] == kinds
    assert samples["nexus_step_downs_total"] == {(): 1.0}
    assert samples["nexus_quorum_losses_total"] == {(): 1.0}
