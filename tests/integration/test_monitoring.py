"""The alert rules, their promtool tests and the dashboard, against the table of metrics and against promtool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamdet.metrics import PREFIX, TABLE

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "configs" / "monitoring"
RULES = FOLDER / "alerts.yaml"
RULES_TEST = FOLDER / "alerts.test.yaml"
DASHBOARD = FOLDER / "dashboard.json"

TARGET_LABELS = {"job", "instance", "le"}
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
LABELS = {PREFIX + row.name + suffix: set(row.labels) for row in TABLE for suffix in SUFFIXES[row.kind]}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def expressions() -> list[str]:
    """Every query of the rules and of the dashboard."""
    return [rule["expr"] for rule in rules()] + [target["expr"] for panel in panels() for target in panel["targets"]]


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return found


@pytest.mark.integration
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "--lint=all", "--lint-fatal", RULES.name),
        ("check", "config", "prometheus.yaml"),
        ("test", "rules", RULES_TEST.name),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_promtool_is_content(promtool: str, arguments: tuple[str, ...]) -> None:
    run = subprocess.run([promtool, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert 0 == run.returncode, run.stdout + run.stderr


def test_each_alert_is_tested_where_it_fires_and_where_it_does_not() -> None:
    fires, quiet = set(), set()
    for story in yaml.safe_load(RULES_TEST.read_text(encoding="utf-8"))["tests"]:
        for case in story["alert_rule_test"]:
            (fires if case["exp_alerts"] else quiet).add(case["alertname"])
    names = {rule["alert"] for rule in rules()}
    assert (names, names) == (fires, quiet)


def test_each_alert_says_how_bad_it_is_what_is_the_matter_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert {"summary", "description"} == set(rule["annotations"])
        assert all(text.strip() for text in rule["annotations"].values())


@pytest.mark.parametrize(
    "path", [RULES, RULES_TEST, DASHBOARD, ROOT / "docs" / "metrics.md"], ids=lambda path: path.name
)
def test_only_names_of_the_table_are_used(path: Path) -> None:
    named = set(re.findall(rf"\b{PREFIX}\w+", path.read_text(encoding="utf-8")))
    assert set() == {
        name for name in named if name not in LABELS and not any(known.startswith(name) for known in LABELS)
    }


def test_every_query_names_its_metrics_exactly_and_only_labels_that_they_have() -> None:
    for expression in expressions():
        for name, selectors in re.findall(rf"\b({PREFIX}\w+)(?:\{{([^}}]*)\}})?", expression):
            assert name in LABELS, expression
            assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selectors)) <= LABELS[name] | TARGET_LABELS, expression


def test_every_metric_of_the_table_is_on_the_dashboard() -> None:
    queries = "\n".join(target["expr"] for panel in panels() for target in panel["targets"])
    assert [] == [row.name for row in TABLE if not re.search(rf"\b{PREFIX}{row.name}(_|\b)", queries)]


def test_the_dashboard_has_its_rows_and_no_panel_lies_on_another() -> None:
    rows = [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"]
    assert ["Overview", "Streams", "Latency", "Drops and ledger", "Engines", "Sinks", "Number plates"] == rows
    cells: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        mine = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not mine & cells, panel["title"]
        cells |= mine


def test_each_panel_explains_itself_and_takes_the_data_source_that_was_chosen() -> None:
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels():
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert {"${datasource}"} == {part["datasource"]["uid"] for part in (panel, *panel["targets"])}
