"""A Django project on a cluster: migrated, its back office used, its masters killed."""

import json
import os
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from e2e.cluster import (
    Cluster,
    NodeProcess,
    caught_up,
    fingerprints,
    master_of,
    wait_until,
)

KILLS = int(os.environ.get("CLIENT_KILLS", "2"))
PROJECT = Path(__file__).parents[2] / "examples" / "django_app"
SELLER = Path(__file__).with_name("django_seller.py")
SETTINGS = {
    "NEXUS_REPLICATION_MODE": "sync",
    "NEXUS_FUNCTIONS": "django.db.backends.sqlite3._functions",
}
NAMED = {"transaction_lost", "transaction_expired", "no_master", "quorum_lost"}
"""The codes that the guide says mean: nothing happened."""

BACK_OFFICE = """
from django.contrib.auth.models import User
from django.test import Client
User.objects.create_superuser("ann", password="secret")
browser = Client()
assert browser.login(username="ann", password="secret")
assert browser.post("/admin/shop/artist/add/", {"name": "Clara"}).status_code == 302
for page in ("", "shop/artist/", "shop/album/", "shop/sale/", "auth/user/"):
    assert browser.get(f"/admin/{page}").status_code == 200, page
assert browser.get("/").json() == {"database": "default", "albums": []}
"""


def environment(nodes: list[NodeProcess]) -> dict[str, str]:
    addresses = ",".join(node.address for node in nodes)
    return {**os.environ, "SHOP_DATABASE": f"nexus://{addresses}?timeout=60"}


def manage(nodes: list[NodeProcess], *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=environment(nodes),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def check_equal(nodes: list[NodeProcess]) -> None:
    master = master_of(nodes)
    offset = master.status()["wal_offset"]
    for node in nodes:
        wait_until(partial(caught_up, node, offset), f"{node.url} has all")
    first, *rest = fingerprints(nodes, master)
    assert all(one == first for one in rest)


def test_a_project_is_migrated_and_used_and_every_replica_is_equal(
    cluster: Cluster,
) -> None:
    nodes = cluster.voters(settings=SETTINGS)
    master_of(nodes)

    assert "shop.0002_longer_titles... OK" in manage(nodes, "migrate")
    manage(nodes, "shell", "-c", BACK_OFFICE)
    manage(nodes, "migrate", "shop", "0001")
    assert "No migrations to apply" not in manage(nodes, "migrate")
    assert "No planned migration" in manage(nodes, "migrate", "--plan")

    check_equal(nodes)


def test_sales_survive_their_masters_and_none_is_made_twice(cluster: Cluster) -> None:
    nodes = cluster.voters(settings=SETTINGS)
    master_of(nodes)
    manage(nodes, "migrate")

    seller = subprocess.Popen(
        [sys.executable, str(SELLER)],
        cwd=PROJECT,
        env=environment(nodes),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with seller:
        assert seller.stdin is not None
        assert seller.stdout is not None
        for _ in range(KILLS):
            seller.stdout.readline()
            victim = master_of(nodes)
            victim.kill()
            seller.stdout.readline()  # it goes on while that one is dead
            seller.stdout.readline()
            victim.start()
        seller.stdin.write("\n")
        seller.stdin.flush()
        *_, last = seller.stdout.read().splitlines()
    told = json.loads(last)

    stored = Counter(told["stored"])
    assert stored.keys() >= set(told["acknowledged"])
    assert set(stored.values()) == {1}
    unknown = told["codes"].pop("outcome_unknown", 0)
    assert told["codes"].keys() <= NAMED
    assert len(stored.keys() & set(told["failed"])) <= unknown
    assert told["sales"] == sum(number % 2 == 0 for number in stored)
    check_equal(nodes)
