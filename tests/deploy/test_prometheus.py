"""What Prometheus's own tool says of our metrics, alerts and their tests."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from api.fake_node import FakeNode, client_of
from deploy.files import ALERTS, rules, samples, used_in
from e2e.cluster import Cluster, NodeProcess, wait_until
from nexus.model.cluster import ArchiveStatus


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    running = Cluster(tmp_path)
    yield running
    running.close()


def promtool(*arguments: str, fed: str = "") -> str:
    """What it says; it must be content."""
    done = subprocess.run(
        ["promtool", *arguments],
        input=fed,
        capture_output=True,
        text=True,
        check=False,
        cwd=ALERTS.parent,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_promtool_finds_nothing_in_the_metrics_of_any_role(
    cluster: Cluster, tmp_path: Path
) -> None:
    master = cluster.master()
    replica = cluster.replica(master)
    master.sql("create table t (a)")
    wait_until(lambda: replica.status()["applied_offset"] >= 2, "it applies")
    alone = NodeProcess(tmp_path / "alone", "standalone")
    witness = NodeProcess(tmp_path / "witness", "witness", master.address)
    cluster.nodes += [alone, witness]
    said = {}
    for node in (master, replica, alone.start(), witness.start()):
        text = httpx.get(f"{node.url}/metrics").text
        said[node.status()["role"]] = promtool("check", "metrics", fed=text)

    assert said == dict.fromkeys(("master", "replica", "standalone", "witness"), "")


async def test_promtool_finds_nothing_in_what_only_some_nodes_have(
    tmp_path: Path,
) -> None:
    node = FakeNode(tmp_path)
    node.measures.certificate_expires = node.measures.revocation_list_ends = 2e9
    archive = ArchiveStatus("s3://b", 7, 2, 0.5, 1.7e9, 1, 512, 1, "")
    node.current = msgspec.structs.replace(node.current, archive=archive)
    async with client_of(node) as client:
        text = (await client.get("/metrics")).text

    assert promtool("check", "metrics", fed=text) == ""
    assert "nexus_archive_offset" in text


def test_the_alert_rules_are_rules() -> None:
    assert "rules found" in promtool("check", "rules", "alerts.yml")


def test_each_alert_is_told_when_it_should_and_not_before() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")

    told = (ALERTS.parent / "alerts_test.yml").read_text(encoding="utf-8")
    for rule in rules():
        assert f"alertname: {rule['alert']}" in told, rule["alert"]


def test_an_alert_reads_only_metrics_that_there_are() -> None:
    for rule in rules():
        used = used_in(rule["expr"])
        assert used, rule["alert"]
        assert used <= samples(), rule["alert"]
