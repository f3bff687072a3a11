"""The commands of the guide to tokens, run on three nodes; and a failover between."""

import os
import re
import subprocess
import sys
from functools import partial
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

import nexus
from e2e.cluster import CLIENT, Cluster, NodeProcess, master_of, wait_until
from e2e.test_failover import SYNC

GUIDE = Path(__file__).parents[2] / "docs/guides/tokens.md"
SECRET = "the cluster's own secret"

pytestmark = pytest.mark.timeout(300)  # a dozen commands, each a process


@pytest.fixture
def nodes(cluster: Cluster) -> list[NodeProcess]:
    return cluster.voters(settings=SYNC | {"NEXUS_CLUSTER_SECRET": SECRET})


def shell(script: str, directory: Path, **environment: str) -> str:
    binaries = Path(sys.executable).parent
    known = {"PATH": f"{binaries}:{os.environ['PATH']}", "HOME": str(directory)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=directory,
        env=known | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def reigns(node: NodeProcess) -> bool:
    return CLIENT.get(f"{node.url}/health/master").is_success


def get(node: NodeProcess, token: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return CLIENT.get(f"{node.url}/replication/status", headers=headers)


def is_good(node: NodeProcess, token: str) -> bool:
    return get(node, token).is_success


def is_refused(node: NodeProcess, token: str) -> bool:
    return get(node, token).status_code == HTTPStatus.UNAUTHORIZED


def test_the_guide_runs_and_its_tokens_are_good_on_every_node(
    nodes: list[NodeProcess], tmp_path: Path
) -> None:
    master = master_of(nodes)
    blocks = re.findall(r"```shell\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    *before, last = [
        block.replace("http://a:15474", master.url).replace("a:15475", master.address)
        for block in blocks
    ]
    script = "\n".join(before)

    output = shell(script, tmp_path, NEXUS_CLUSTER_SECRET=SECRET)

    assert "shop" in output
    texts = {
        name: (tmp_path / f"{name}.token").read_text().strip()
        for name in ("ops", "shop", "reports")
    }
    assert not any(text in output for text in texts.values())
    for node in nodes:
        for text in texts.values():
            wait_until(partial(is_good, node, text), "it is good there")
        assert is_refused(node, "")

    master.kill()
    left = [node for node in nodes if node is not master]
    wait_until(lambda: any(map(reigns, left)), "there is another master")
    heir = next(filter(reigns, left))
    with nexus.connect(f"nexus://:{texts['shop']}@{heir.address}") as connection:
        assert connection.execute("select text from notes").fetchall() == [("hello",)]
        connection.execute("insert into notes values ('again')")
    with (
        nexus.connect(f"nexus://:{texts['reports']}@{heir.address}") as connection,
        pytest.raises(nexus.OperationalError, match="role write"),
    ):
        connection.execute("insert into notes values ('no')")

    script = last.replace(master.url, heir.url)
    shell(script, tmp_path, NEXUS_TOKEN_FILE="ops.token")
    for node in left:
        wait_until(partial(is_refused, node, texts["reports"]), "it is good no more")
        assert get(node, texts["shop"]).is_success
        assert get(node, (tmp_path / "shop.new").read_text().strip()).is_success
