"""The dashboard's pictures for the documentation: `make screenshots` takes them anew.

Three voters under a load that comes and goes; one master is killed and comes back.
"""

import math
import os
import time
from contextlib import suppress
from pathlib import Path

import httpx

from e2e.browsing import PHONE, chromium, visit
from e2e.cluster import Cluster, NodeProcess, master_of, wait_until

DIRECTORY = Path(os.environ.get("NEXUS_SCREENSHOTS", "docs/_static"))
LOAD_S = 150.0
SETTINGS = {"NEXUS_REPLICATION_MODE": "sync", "NEXUS_REPLICATION_HEARTBEAT_MS": "200"}


def test_the_pictures_of_the_documentation_are_taken(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    nodes = cluster.voters(3, settings=SETTINGS)
    first = master_of(nodes)
    first.sql("create table orders(id integer primary key, item text)")
    watched = next(node for node in nodes if node is not first)
    with chromium() as browser:
        pages = {
            "wide-light": visit(browser, watched.url, (1200, 900), "light"),
            "wide-dark": visit(browser, watched.url, (1200, 900), "dark"),
            "phone-light": visit(browser, watched.url, PHONE, "light"),
        }
        began = time.monotonic()
        while (passed := time.monotonic() - began) < LOAD_S:
            if first.is_alive and LOAD_S / 3 < passed < LOAD_S / 2:
                first.kill()
            if not first.is_alive and passed > LOAD_S / 2:
                first.start()
            _write(nodes)
            pages["wide-light"].page.wait_for_timeout(
                60 + 50 * math.sin(passed / 9) + 30 * math.sin(passed / 2)
            )
        for name, seen in pages.items():
            seen.see("#health", "All well")
            picture = DIRECTORY / f"dashboard-{name}.png"
            height = 1290 if name.startswith("wide") else PHONE[1]
            seen.page.set_viewport_size(
                {"width": seen.page.viewport_size["width"], "height": height}  # type: ignore[index]
            )
            seen.page.wait_for_timeout(1500)
            seen.page.screenshot(path=picture)
            assert picture.stat().st_size > 10_000
    wait_until(lambda: master_of(nodes) is not None, "a master reigns")
    cluster.close()


def _write(nodes: list[NodeProcess]) -> None:
    for node in nodes:
        with suppress(httpx.HTTPError, AssertionError):
            if node.is_alive and node.status()["role"] == "master":
                for _ in range(3):
                    node.sql("insert into orders(item) values ('a pair of gloves')")
                return
