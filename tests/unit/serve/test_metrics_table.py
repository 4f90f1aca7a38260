"""The table in metrics.py, what /metrics says, and docs/metrics.md: one and the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamdet.errors import LOSS_CAUSES
from streamdet.metrics import PREFIX, TABLE, Meter, Row
from streamdet.pipeline.ledger import DropReason
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.shell import STATES
from streamdet.pipeline.stream import Stream
from streamdet.testing import FakeDetector, ListSink, SyntheticSource

DOCS = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"


def wire_name(row: Row) -> str:
    return PREFIX + row.name + ("_total" if row.kind == "counter" else "")


def touched(meter: Meter) -> None:
    """Give every metric one series."""
    for row in TABLE:
        metric = getattr(meter, row.name)
        child = metric.labels(*row.labels) if row.labels else metric
        {"counter": lambda c: c.inc(), "gauge": lambda c: c.set(1), "histogram": lambda c: c.observe(1)}[row.kind](
            child
        )


def test_the_exposition_holds_each_row_of_the_table_and_the_process_beside_them() -> None:
    meter = Meter()
    touched(meter)
    families = {family.name: family for family in text_string_to_metric_families(meter.text())}
    own = {name for name in families if not name.startswith("process_")}
    assert {PREFIX + row.name for row in TABLE} == own
    for row in TABLE:
        family = families[PREFIX + row.name]
        assert (row.kind, row.help) == (family.type, family.documentation)
        assert {frozenset(row.labels)} == {frozenset(sample.labels) - {"le"} for sample in family.samples}


def test_every_row_is_an_attribute_of_the_meter_and_says_its_kind() -> None:
    declared = {name: str(kind) for name, kind in Meter.__annotations__.items()}
    assert {row.name: row.kind.capitalize() for row in TABLE} == declared


def test_the_table_in_the_docs_is_the_table() -> None:
    lines = ["| Name | Kind | Labels | Meaning |", "|---|---|---|---|"]
    for row in TABLE:
        labels = ", ".join(f"`{label}`" for label in row.labels)
        lines.append(f"| `{wire_name(row)}` | {row.kind} | {labels} | {row.help} |")
    expected = "\n".join(lines)
    assert expected in DOCS.read_text(encoding="utf-8"), f"docs/metrics.md should hold:\n{expected}"


@pytest.mark.parametrize(
    ("heading", "values"),
    [("state", STATES), ("cause", LOSS_CAUSES), ("reason", get_args(DropReason))],
)
def test_the_docs_explain_every_value_of_a_label(heading: str, values: tuple[str, ...]) -> None:
    section = re.search(rf"^### `{heading}`.*?(?=^##|\Z)", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert section is not None
    assert list(values) == re.findall(r"^\| `(\w+)` \|", section[0], re.MULTILINE)


def test_the_series_of_a_removed_stream_vanish() -> None:
    meter = Meter()
    pipeline = Pipeline([ListSink()], meter=meter, keep_open=True)
    pipeline.start()
    for number in range(20):
        name = f"visitor{number}"
        source = SyntheticSource(frames=10**9, live=True, lose_at={3: "stalled"})
        pipeline.add(name, Stream(source, (FakeDetector(),)))
        pipeline.remove(name)
    try:
        assert 'stream="visitor' not in meter.text()
        assert 'engine="fake"' in meter.text()
    finally:
        pipeline.stop()
        pipeline.finish()


def test_a_name_with_quotes_and_line_breaks_cannot_break_the_exposition() -> None:
    meter = Meter()
    name = 'gate "north"\n\\ üß'
    meter.frames_captured.labels(name).inc()
    families = {family.name: family for family in text_string_to_metric_families(meter.text())}
    assert [name] == [s.labels["stream"] for s in families["streamdet_frames_captured"].samples]
