"""The dashboard in a real browser, on real nodes: what it shows, and what it does."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from certificates import Office
from e2e.browsing import PHONE, WIDE, Visit, chromium, visit
from e2e.cluster import (
    CLIENT,
    Cluster,
    NodeProcess,
    acknowledged,
    caught_up,
    master_of,
    wait_until,
)

SETTINGS = {
    "NEXUS_REPLICATION_MODE": "sync",
    "NEXUS_REPLICATION_HEARTBEAT_MS": "500",
    "NEXUS_REPLICATION_MISSED_HEARTBEATS": "6",
}
NO_NETWORK = re.compile(r"ERR_(CONNECTION|INCOMPLETE|NETWORK|EMPTY)|Failed to load")
"""What a browser says of a node that was killed."""

Scheme = Literal["light", "dark"]


pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def three(cluster: Cluster) -> list[NodeProcess]:
    """Voters with a table, the master first; all have caught up."""
    nodes = cluster.voters(3, settings=SETTINGS)
    acknowledged(nodes, "create table t(id integer primary key, v text)", "table")
    offset = acknowledged(nodes, "insert into t(v) values ('x')", "row")["offset"]
    for node in nodes:
        wait_until(lambda node=node: caught_up(node, offset), "all have caught up")  # type: ignore[misc]
    master = master_of(nodes)
    others = [node for node in nodes if node is not master]
    return [master, *others]


def id_of(node: NodeProcess) -> str:
    return str(node.status()["node_id"])


def opened(
    browser: Browser,
    node: NodeProcess,
    size: tuple[int, int] = WIDE,
    scheme: Scheme = "light",
) -> Visit:
    """The page of this node, once it shows three nodes that are well."""
    seen = visit(browser, node.url, size, scheme)
    seen.see("#health", "All well")
    seen.page.wait_for_function("document.querySelectorAll('tr[data-node]').length > 2")
    return seen


def metric(node: NodeProcess, name: str) -> float:
    text = CLIENT.get(f"{node.url}/metrics").text
    found = re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    assert found, f"{name} is not in /metrics"
    return float(found[1])


def test_any_node_shows_the_whole_cluster_and_asks_nobody_else(
    browser: Browser, three: list[NodeProcess]
) -> None:
    for node in three:
        seen = opened(browser, node)
        master = id_of(three[0])
        seen.see('[data-tile="master"]', master[:8])
        seen.see("#drawing svg [data-role='master']")
        assert seen.page.locator("#drawing path.stream").count() == 2
        assert seen.page.locator("#drawing text.tone", has_text="sync").count() == 2
        assert f"{master[:8]} takes the writes." in seen.text("#drawing-told")
        seen.see("#events .kind", "New master")
        seen.see(".chart .now", "a second")
        assert seen.errors == []
        assert seen.hosts == {f"127.0.0.1:{node.http_port}"}


def test_page_metrics_and_api_agree(browser: Browser, three: list[NodeProcess]) -> None:
    master, heir, other = three
    master.kill()
    reigning = master_of([heir, other])
    replica = other if reigning is heir else heir
    master.start()
    wait_until(lambda: master.status()["state"] == "streaming", "it follows again")
    replica.post("/replication/pause")
    for _ in range(7):
        reigning.sql("insert into t(v) values ('y')")
    seen = visit(browser, reigning.url)
    named = id_of(replica)
    seen.see(f'tr[data-node="{named}"] .pill', "paused")
    wait_until(lambda: seen.figure(named, "lag") == 7, "the page shows the lag")

    shown = seen.figure(named, "lag_seconds")
    assert shown <= metric(replica, "nexus_lag_seconds")
    assert metric(replica, "nexus_lag_seconds") <= replica.status()["lag_seconds"] + 0.1
    assert metric(replica, "nexus_lag_entries") == replica.status()["lag"] == 7
    for node in (reigning, replica):
        epoch = node.status()["epoch"]
        assert seen.figure(id_of(node), "epoch") == epoch
        assert metric(node, "nexus_epoch") == epoch
        failovers = node.status()["failovers"]
        assert metric(node, "nexus_failovers_total") == failovers >= 1
    failovers = reigning.status()["failovers"]
    assert seen.text('[data-tile="failovers"]') == str(failovers)


@pytest.mark.campaign
def test_the_archives_figures_agree_too(
    browser: Browser, cluster: Cluster, tmp_path: Path
) -> None:
    kept = tmp_path / "archive"
    node = cluster.master(NEXUS_ARCHIVE_URL=str(kept), NEXUS_ARCHIVE_INTERVAL_MS="200")
    offset = node.sql("create table t(id integer primary key)")["offset"]
    wait_until(
        lambda: (node.status()["archive"] or {}).get("offset") == offset,
        "it is archived",
        60.0,
    )

    seen = visit(browser, node.url)

    seen.see('[data-tile="archive"]', str(offset))
    assert metric(node, "nexus_archive_offset") == offset
    assert metric(node, "nexus_archive_lag_entries") == 0
    assert node.status()["archive"]["lag"] == 0
    seen.see("#events .kind", "Archive begins")


@pytest.mark.campaign
def test_each_database_of_a_node_has_a_page(browser: Browser, cluster: Cluster) -> None:
    node = cluster.master(NEXUS_DATABASES="orders")
    statement = {"statements": [{"sql": "create table o(id integer primary key)"}]}
    assert node.post("/databases/orders/sql", statement).status_code == 200
    seen = visit(browser, f"{node.url}/databases/orders")

    seen.see("#where", "database orders")
    seen.see("#databases [aria-current]", "orders")
    offset = node.get("/databases/orders/replication/status")["wal_offset"]
    seen.see('[data-tile="epoch"] + dd', f"offset {offset}")
    seen.do(id_of(node), "snapshot")
    assert "Done." in seen.confirm()
    assert len(node.get("/databases/orders/replication/snapshots")["snapshots"]) == 1
    seen.page.click("#dialog-cancel")
    seen.page.click("#databases a:first-child")
    seen.see("#databases [aria-current]", "main")
    assert seen.page.evaluate("location.pathname") == "/"
    assert seen.errors == []


@pytest.mark.campaign
def test_it_is_the_same_over_tls(
    browser: Browser, cluster: Cluster, tmp_path: Path
) -> None:
    office = Office.opened(tmp_path / "tls")
    tls = office.environment(office.node())
    master = cluster.master(**tls)
    replica = cluster.replica(master, **tls)
    wait_until(lambda: replica.status()["state"] == "streaming", "it streams")

    seen = visit(browser, replica.url)

    seen.see("#health", "All well")
    seen.see(f'tr[data-node="{id_of(master)}"] .pill', "takes writes")
    seen.do(id_of(master), "pause")
    assert "Done." in seen.confirm()
    assert master.status()["paused"] is True
    assert seen.page.url.startswith("https://")
    assert seen.errors == []


def test_a_failover_is_seen_from_a_replica(
    browser: Browser, three: list[NodeProcess]
) -> None:
    master, *others = three
    seen = opened(browser, others[0])
    fallen, before = id_of(master), master.status()["failovers"]

    master.kill()

    seen.see(f'tr[data-node="{fallen}"] .pill', "does not answer")
    heir = master_of(others)
    seen.see('[data-tile="master"]', id_of(heir)[:8])
    seen.see(f'#drawing [data-node="{fallen}"][data-silent]')
    seen.see("#events .kind", "Election")
    failovers = heir.status()["failovers"]
    assert failovers > before
    seen.see('[data-tile="failovers"]', str(failovers))
    seen.see("#health", "2 of 3 nodes answer")
    seen.see(".error", "does not answer")
    master.start()
    seen.see("#health", "All well")
    assert seen.errors == []


@pytest.mark.campaign
def test_a_page_whose_node_dies_says_so_and_moves_to_another(
    browser: Browser, three: list[NodeProcess]
) -> None:
    master, *others = three
    seen = opened(browser, master)
    fallen = id_of(master)

    master.kill()

    seen.see("#banner", "this page moved here")
    assert f"127.0.0.1:{master.http_port}" in seen.text("#banner")
    ports = {f"127.0.0.1:{node.http_port}" for node in others}
    seen.see('[data-tile="master"]', id_of(master_of(others))[:8])
    assert seen.page.evaluate("location.host") in ports
    assert seen.page.evaluate("location.hash") == ""
    seen.see(f'tr[data-node="{fallen}"] .pill', "does not answer")
    assert [error for error in seen.errors if not NO_NETWORK.search(error)] == []
    assert seen.hosts <= ports | {f"127.0.0.1:{master.http_port}"}


def test_a_node_that_comes_back_at_once_keeps_its_page(
    browser: Browser, cluster: Cluster
) -> None:
    node = cluster.master()
    seen = visit(browser, node.url)
    seen.see("#health", "All well")
    seen.see("#alone", "no replica follows this node")

    node.kill()
    seen.see("#banner", "does not answer; trying again")
    node.start()

    seen.see("#health", "All well")
    assert not seen.page.locator("#banner").is_visible()
    assert seen.text('[data-tile="epoch"]') == str(node.status()["epoch"])


def test_a_switchover_is_done_by_keyboard_alone(
    browser: Browser, three: list[NodeProcess]
) -> None:
    master, *others = three
    before = master.status()["failovers"]
    seen = opened(browser, others[0])
    keys = seen.page.keyboard

    for _ in range(40):
        keys.press("Tab")
        focused = seen.page.evaluate("document.activeElement.dataset.action ?? ''")
        if focused == "switchover":
            break
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert seen.page.evaluate(outline) == "solid"
    keys.press("Enter")
    seen.see("#dialog[open]", "nothing is lost")
    heir = seen.page.evaluate("document.activeElement.value")
    assert heir in {id_of(node) for node in others}
    keys.press("ArrowDown")
    heir = seen.page.evaluate("document.activeElement.value")
    for _ in range(2):
        keys.press("Tab")
    assert seen.page.evaluate("document.activeElement.id") == "dialog-confirm"
    keys.press("Enter")
    seen.see(".outcome", "reigns after")
    keys.press("Enter")

    assert not seen.page.locator("#dialog").is_visible()
    seen.see('[data-tile="master"]', heir[:8])
    assert master.status()["master_id"] == heir
    seen.see("#events .kind", "Switchover began")
    seen.see('[data-tile="failovers"]', str(before))


def test_pause_and_resume_do_what_they_say(
    browser: Browser, three: list[NodeProcess]
) -> None:
    master, replica, _ = three
    seen = opened(browser, master)
    name = id_of(replica)

    seen.do(name, "pause")
    assert "applies none" in seen.text("#dialog-body")
    assert "applies nothing until it is resumed" in seen.confirm()
    seen.page.click("#dialog-cancel")
    seen.see(f'tr[data-node="{name}"] .pill', "paused")
    assert replica.status()["paused"] is True

    seen.do(name, "resume")
    assert "Done." in seen.confirm()
    seen.page.click("#dialog-cancel")
    seen.see("#health", "All well")
    assert replica.status()["paused"] is False
    seen.see("#events .kind", "Resumed")
    assert seen.errors == []


@pytest.mark.campaign
def test_a_snapshot_is_made_where_it_is_asked_for_and_cancel_does_nothing(
    browser: Browser, three: list[NodeProcess]
) -> None:
    master, replica, _ = three
    seen = opened(browser, master)

    seen.do(id_of(replica), "snapshot")
    seen.page.keyboard.press("Escape")
    assert not seen.page.locator("#dialog").is_visible()
    assert replica.get("/replication/snapshots")["snapshots"] == []
    seen.do(id_of(replica), "snapshot")
    told = seen.confirm()

    (made,) = replica.get("/replication/snapshots")["snapshots"]
    assert made["id"] in told
    seen.see("#events .kind", "Snapshot made")


@pytest.mark.campaign
def test_a_promotion_and_its_refusal_are_told_in_words(
    browser: Browser, cluster: Cluster
) -> None:
    master = cluster.master()
    replica = cluster.replica(master)
    wait_until(lambda: replica.status()["state"] == "streaming", "it streams")
    seen = visit(browser, replica.url)
    name = id_of(replica)
    seen.see(f'tr[data-node="{name}"] [data-action="promote"]')

    seen.do(name, "promote")
    assert "diverged/" in seen.text("#dialog-body")
    told = seen.confirm()
    assert "the master is alive and connected" in told
    seen.page.click("#dialog-cancel")
    master.kill()
    seen.see(f'tr[data-node="{id_of(replica)}"] .pill', "reconnecting")
    seen.do(name, "promote")

    assert "reigns in epoch" in seen.confirm()
    assert replica.status()["role"] == "master"
    seen.page.click("#dialog-cancel")
    seen.see('[data-tile="master"]', name[:8])


@pytest.mark.campaign
def test_a_node_that_wants_a_token_is_given_it_in_a_field(
    browser: Browser, cluster: Cluster
) -> None:
    secret = "a-secret-of-the-cluster"
    node = NodeProcess(
        cluster.directory / "guarded",
        settings={"NEXUS_CLUSTER_SECRET": secret, "NEXUS_REPLICATION_ROLE": "master"},
    )
    node.settings["NEXUS_HTTP_ADDR"] = f"0.0.0.0:{node.http_port}"
    cluster.nodes.append(node.start())
    seen = visit(browser, node.url)
    seen.see("#sign-in")
    assert seen.page.evaluate("document.activeElement.id") == "token"

    seen.page.fill("#token", "not-the-secret")
    seen.page.keyboard.press("Enter")
    seen.see("#sign-in-error:not(:empty)")
    seen.page.fill("#token", secret)
    seen.page.keyboard.press("Enter")

    seen.see("#health", "All well")
    assert secret not in seen.page.url
    assert seen.page.evaluate("localStorage.length") == 0
    assert seen.page.evaluate("sessionStorage.getItem('nexus-token')") == secret
    assert seen.page.locator("[data-action]").count() > 0
    assert not seen.page.is_visible("#may-not")
    seen.page.click("#sign-out")
    seen.see("#sign-in")

    made = CLIENT.post(
        f"{node.url}/tokens",
        json={"role": "read", "name": "wall"},
        headers={"Authorization": f"Bearer {secret}"},
    ).json()
    seen.page.fill("#token", made["token"])
    seen.page.keyboard.press("Enter")
    seen.see("#may-not", "the role read")
    assert seen.page.locator("[data-action]").count() == 0
    assert seen.violations() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_it_is_accessible_and_fits_in_every_colour_and_width(
    browser: Browser,
    three: list[NodeProcess],
    tmp_path: Path,
    scheme: Scheme,
    size: tuple[int, int],
) -> None:
    for number in range(20):
        three[0].sql(f"insert into t(v) values ('{number}')")
    seen = opened(browser, three[1], size, scheme)
    seen.see("#events .kind", "Takes writes")

    assert not seen.overflows()
    assert seen.violations() == []
    background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", background)[0]) < 128) is (scheme == "dark")
    name = f"dashboard-{'phone' if size == PHONE else 'wide'}-{scheme}.png"
    kept = Path(os.environ.get("NEXUS_SCREENSHOTS", tmp_path)) / name
    seen.page.screenshot(path=kept, full_page=size == WIDE)
    assert kept.stat().st_size > 10_000

    seen.page.click("#theme")
    after = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert after != background
    seen.do(id_of(three[0]), "switchover")
    assert seen.violations() == []
    assert not seen.overflows()
    seen.page.keyboard.press("Escape")
    assert seen.errors == []
