"""Code, page and dashboard name the same metrics, as Prometheus wants them named."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.metrics import table
from pipeline.metrics.table import COMMON, METRICS, Metric
from tests.architecture.source import REPOSITORY, modules

PAGE = (REPOSITORY / "docs/metrics.md").read_text("utf-8")
BOARD = json.loads((REPOSITORY / "docker/grafana/arborist.json").read_text("utf-8"))
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", re.MULTILINE)
NAME = re.compile(r"\b[a-z_]*arborist_\w+")
UNITS = ("seconds", "tokens", "ratio", "bytes")
PARTS = ("_bucket", "_sum", "_count")


def scraped_names() -> set[str]:
    """Every name under which a number can be asked for."""
    return {
        metric.exported + part
        for metric in METRICS
        for part in (PARTS if metric.kind == "histogram" else ("",))
    }


def panels() -> list[dict[str, Any]]:
    return [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def targets() -> Iterator[str]:
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])


def test_every_metric_of_the_table_is_listed_once_and_told_by_somebody():
    defined = {one.name: one for one in vars(table).values() if isinstance(one, Metric)}
    assert {metric.name: metric for metric in METRICS} == defined
    assert len(METRICS) == len(defined)
    telling = "\n".join(m.text for m in modules() if m.name == "pipeline.metrics.tell")
    constants = {name for name, one in vars(table).items() if isinstance(one, Metric)}
    assert {name for name in constants if f"table.{name}" not in telling} == set()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_metric_is_named_by_the_conventions(metric: Metric):
    assert re.fullmatch(r"arborist(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.name.endswith(PARTS)
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    words = metric.name.removesuffix("_total").split("_")
    # A unit stands at the end, and is a base unit.
    assert [word for word in words[:-1] if word in UNITS] == []
    assert not {"ms", "minutes", "hours", "percent", "kib", "mib"} & set(words)
    assert not set(metric.labels) & {*COMMON, "le", "quantile"}


def test_page_lists_every_metric_with_its_kind_and_labels():
    rows = {name: (kind, labels) for name, kind, labels, _ in ROW.findall(PAGE)}
    assert rows == {
        metric.exported: (metric.kind, ", ".join(f"`{label}`" for label in metric.labels))
        for metric in METRICS
    }


def test_page_names_no_metric_that_does_not_exist():
    known = {metric.exported for metric in METRICS} | scraped_names()
    assert {name for name in NAME.findall(PAGE) if name.startswith("ray_")} <= known


def test_board_asks_for_metrics_that_exist_and_for_all_of_them():
    asked = {name for expr in targets() for name in NAME.findall(expr)}
    assert asked <= scraped_names()
    assert {m.name for m in METRICS if not any(n.startswith(m.exported) for n in asked)} == set()


@pytest.mark.parametrize("expr", sorted(set(targets())))
def test_board_asks_for_labels_that_the_metric_has_and_for_rates_of_counters(expr: str):
    by_name = {m.exported: m for m in METRICS}
    for found in re.finditer(r"(\w*arborist_\w+)(?:\{([^}]*)\})?(\[[^\]]+\])?", expr):
        name, selector, over = found.groups()
        metric = by_name.get(name) or by_name[re.sub("(_bucket|_sum|_count)$", "", name)]
        labels = set(re.findall(r"(\w+)\s*=", selector or ""))
        assert {"run"} <= labels <= {*COMMON, *metric.labels}
        assert bool(over) == (metric.kind != "gauge"), expr
    assert expr.count("(") == expr.count(")")
    grouped = re.findall(r"\bby \(([^)]*)\)", expr)
    known = {*COMMON, "le", *(label for m in METRICS for label in m.labels)}
    assert {label.strip() for labels in grouped for label in labels.split(",")} <= known


def test_board_is_one_that_grafana_takes():
    assert BOARD["uid"] == "arborist" and BOARD["schemaVersion"] >= 39
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    variables = {variable["name"] for variable in BOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(BOARD["panels"])))
    assert used - {"__rate_interval"} <= variables
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["title"] and panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_board_panels_do_not_cover_each_other():
    taken: dict[tuple[int, int], int] = {}
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["id"]) == panel["id"]
