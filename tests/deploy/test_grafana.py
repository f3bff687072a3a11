"""The dashboard for Grafana shows what there is."""

import json
from typing import Any

import pytest

from deploy.files import DEPLOY, samples, used_in

DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
WIDTH = 24


def panels(path: Any) -> list[dict[str, Any]]:
    dashboard: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return list(dashboard["panels"])


def test_there_is_one_dashboard_and_no_other() -> None:
    assert [path.name for path in DASHBOARDS] == ["nexus.json"]


@pytest.mark.parametrize("path", DASHBOARDS)
def test_it_has_the_shape_of_a_dashboard(path: Any) -> None:
    dashboard = json.loads(path.read_text(encoding="utf-8"))

    assert isinstance(dashboard["title"], str)
    assert isinstance(dashboard["schemaVersion"], int)
    assert {"from", "to"} == set(dashboard["time"])
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names == ["datasource", "job"]
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
    for panel in dashboard["panels"]:
        assert {"id", "type", "title", "gridPos"} <= set(panel)
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= WIDTH
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert {"defaults", "overrides"} == set(panel["fieldConfig"])
            letters = [target["refId"] for target in panel["targets"]]
            assert letters == sorted(set(letters)) != []


@pytest.mark.parametrize("path", DASHBOARDS)
def test_no_two_panels_lie_on_each_other(path: Any) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(path):
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("path", DASHBOARDS)
def test_each_expression_reads_only_metrics_that_there_are(path: Any) -> None:
    for panel in panels(path):
        for target in panel.get("targets", ()):
            used = used_in(target["expr"])
            assert used, panel["title"]
            assert used <= samples(), panel["title"]
