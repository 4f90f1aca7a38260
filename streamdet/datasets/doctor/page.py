"""The report as one HTML file that needs nothing else: text, numbers and the pictures in question."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from streamdet.datasets.doctor.report import Case, Finding, Report
from streamdet.datasets.pictured import around, draw_labels, fit_into
from streamdet.datasets.pictures import read_picture
from streamdet.datasets.samples import DataSet, Objects, Rgb
from streamdet.errors import PictureUnreadable

_EXAMPLES = 8
_CELL = (320, 240)

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2126; --soft: #68707a; --paper: #fbfbfa; --card: #fff; --line: #e3e5e8;
  --error: #c62f3b; --warning: #b26a00; --info: #2f6fb0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #98a1ab; --paper: #14171a; --card: #1c2024;
  --line: #2e343a; --error: #ff7a80; --warning: #ffb454; --info: #7ab8f5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 32px 20px 64px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 0; } .soft { color: var(--soft); }
.counts { display: flex; gap: 12px; margin: 20px 0; flex-wrap: wrap; }
.counts div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 10px 18px; }
.counts b { display: block; font-size: 24px; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; margin: 16px 0; } td, th { text-align: left; padding: 4px 20px 4px 0; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
section { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--level);
  border-radius: 10px; padding: 16px 20px; margin: 14px 0; }
.error { --level: var(--error); } .warning { --level: var(--warning); } .info { --level: var(--info); }
.tag { color: var(--level); font-weight: 600; text-transform: uppercase; font-size: 12px; letter-spacing: .06em; }
.count { float: right; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; }
p { margin: 6px 0; } .pictures { display: flex; flex-wrap: wrap; gap: 12px; margin-top: 12px; }
figure { margin: 0; width: 240px; } figure img { width: 100%; border-radius: 6px; display: block; }
figcaption { font-size: 12px; color: var(--soft); overflow-wrap: anywhere; padding-top: 3px; }
ul { margin: 10px 0 0; padding-left: 20px; font-size: 13px; color: var(--soft); } pre { overflow: auto; }
li { overflow-wrap: anywhere; white-space: pre-wrap; }
"""


def as_html(reports: Sequence[Report]) -> str:
    """The whole page, one report after the other."""
    names = html.escape(", ".join(each.name for report in reports for each in report.data_sets))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Data doctor: {names}</title><style>{_STYLE}</style><p class=soft>Data doctor</p>"
        + "\n".join(_one(report) for report in reports)
        + "</html>\n"
    )


def _one(report: Report) -> str:
    sets = {each.name: each for each in report.data_sets}
    counts = [(level, sum(each.level == level for each in report.findings)) for level in ("error", "warning", "info")]
    body = [
        f"<h1>{html.escape(', '.join(sets))}</h1>",
        f"<p class=soft>{report.checks} checks, for training at {report.size[0]} by {report.size[1]} pixels</p>",
        "<div class=counts>" + "".join(_count(level, count) for level, count in counts) + "</div>",
        _sets_table(report.data_sets),
        *(_section(finding, sets) for finding in report.findings),
    ]
    if not report.findings:
        body.append("<p>Nothing was found.</p>")
    return "\n".join(body)


def _count(level: str, count: int) -> str:
    words = {"error": "errors", "warning": "warnings", "info": "remarks"}
    return f"<div class={level}><b>{count}</b>{words[level]}</div>"


def _sets_table(data_sets: Sequence[DataSet]) -> str:
    rows = []
    for each in data_sets:
        class_id = np.concatenate([np.zeros(0, np.int64), *(entry.objects.class_id for entry in each.entries)])
        classes = ", ".join(f"{name} {int((class_id == row).sum())}" for row, name in enumerate(each.classes))
        rows.append(
            f"<tr><td>{html.escape(each.name)}<td class=number>{len(each.entries)}<td class=number>{len(class_id)}"
            f"<td>{html.escape(classes)}"
        )
    return "<table><tr><th>data set<th>pictures<th>objects<th>classes" + "".join(rows) + "</table>"


def _section(finding: Finding, sets: dict[str, DataSet]) -> str:
    figures, lines = [], []
    for case in finding.examples(_EXAMPLES):
        picture = _thumbnail(case, sets)
        text = html.escape(f"{case.place}  {case.note}".strip())
        if picture is None:
            lines.append(f"<li>{text}</li>")
        else:
            figures.append(f"<figure><img src='{picture}' alt=''><figcaption>{text}</figcaption></figure>")
    return (
        f"<section class={finding.level}><span class=count>{finding.count}</span>"
        f"<span class=tag>{finding.level}</span><h2>{html.escape(finding.title)}</h2>"
        f"<p>{html.escape(finding.explanation)}</p><p class=soft>{html.escape(finding.remedy)}</p>"
        + (f"<div class=pictures>{''.join(figures)}</div>" if figures else "")
        + (f"<ul>{''.join(lines)}</ul>" if lines else "")
        + "</section>"
    )


def _thumbnail(case: Case, sets: dict[str, DataSet]) -> str | None:
    """The picture with its boxes, or the surroundings of the object; with its twin beside it, for pairs."""
    if case.key is None or case.path is None:
        return None
    data_set = sets[case.data_set]
    entry = next((each for each in data_set.entries if each.key == case.key), None)
    try:
        rgb = read_picture(case.path)
        second = read_picture(case.other) if case.other is not None else None
    except PictureUnreadable:
        return None  # the text says so
    objects = Objects.empty() if entry is None else entry.objects
    if case.xyxy is not None and case.row is not None:
        part, corner = around(rgb, case.xyxy)
        cell = fit_into(_close_up(part, corner, objects, data_set.classes, case.row), _CELL)
    else:
        cell = fit_into(draw_labels(rgb, objects, data_set.classes), _CELL)
    if second is not None:
        cell = np.concatenate([cell, fit_into(second, _CELL)], axis=1)
    _, content = cv2.imencode(".jpg", cell[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode()


def _close_up(part: Rgb, corner: tuple[int, int], objects: Objects, classes: tuple[str, ...], row: int) -> Rgb:
    """Enlarged before the lines are drawn, so that they stay thin."""
    ratio = max(1.0, min(_CELL[0] / part.shape[1], _CELL[1] / part.shape[0]))
    large = cv2.resize(part, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_LINEAR)
    xyxy = ((objects.xyxy - np.array([*corner, *corner])) * ratio).astype(np.float32)
    bare = replace(objects, xyxy=xyxy, keypoints=None, polygons=None, texts=None)
    return draw_labels(np.asarray(large, np.uint8), bare, classes, marked=row)
