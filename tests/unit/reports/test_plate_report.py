"""The report on plates: what was measured stands in it, whatever it is called, and pdflatex takes it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.errors import ConfigError, DataError
from streamdet.reports.latex import safe, share, table
from streamdet.reports.plate_measurements import SCHEMA, read_measured
from streamdet.reports.plate_pictures import take_curves
from streamdet.reports.plates import CURVES, write_plate_report
from streamdet.reports.typesetting import typeset


def texts(exact: float) -> dict:
    return {"plates": 100, "exact": exact, "characters": 0.97, "unread": 1, "distinct": 40, "distinct_exact": 0.9}


def reader(name: str, exact: float) -> dict:
    masks = {"mean_iou": 0.81, "background": 0.99, "per_class": {"A": 0.8, "B": 0.7, "0": 0.75, "O": 0.6}}
    shares = {"single_exact": 0.7, "exact": 0.96, "wrong": 0.0, "undecided": 0.04, "final_on_nothing": 0.0}
    row = {
        "name": name,
        "family": "plate_reader",
        "input": [192, 64],
        "parameters": 700_000,
        "bytes": 2_900_000,
        "ms": 3.1,
    }
    return row | {
        "provenance": {"data": "rendered crops of plates", "commit": "", "scores": {}},
        "rendered": [
            {"glyph_px": [low, high], "severity": severity, "texts": texts(share), "segmentation": masks}
            for severity, low, high, share in (
                (0.5, 10, 16, exact - 0.02),
                (0.5, 16, 60, exact + 0.02),
                (1.0, 10, 16, exact - 0.1),
                (1.0, 16, 60, exact),
            )
        ],
        "pictures": {"texts": texts(exact - 0.05)},
        "passes": [{"severity": 0.5, "blur": 2.5, "passes": 300, **shares}],
        "nothing": {"passes": 100, **shares},
    }


def measured(*readers: dict) -> dict:
    found = {
        "pictures": 66, "plates": 83, "ap50": 0.9314, "score": 0.25, "recall": 0.96, "precision": 0.97,
        "false_per_picture": 0.03, "recall_at_false": 0.975, "recall_by_height": {"under 10": 0.8, "30 +": 1.0},
        "corner_error": 0.07, "corner_error_px": 1.9, "corner_error_by_height": {},
    }  # fmt: skip
    detector = reader("plate_detector & more", 0.9) | {"input": [640, 384], "found": found}
    whole = {"texts": texts(0.88), "texts_by_height": {"12-16": texts(0.8)}}
    made = {"schema": SCHEMA, "made": "2026-01-02", "streamdet": "0.1.0", "suite": "plates"}
    return made | {"detector": detector, "readers": list(readers), "whole": whole}


def test_every_figure_measured_is_told_and_nothing_that_was_not(tmp_path: Path):
    text = write_plate_report(measured(reader("small", 0.95)), tmp_path).read_text()
    for figure in ("0.931", "0.975", "0.970", "0.950", "0.930", "0.850", "0.880", "0.810", "0.960", "700,000"):
        assert figure in text
    assert "includegraphics" not in text, "there are no pictures in this folder"
    assert "ResNet" not in text, "nothing was compared"


def test_readers_are_compared_where_there_are_two(tmp_path: Path):
    text = write_plate_report(measured(reader("small", 0.95), reader("large", 0.96)), tmp_path).read_text()
    assert r"\section{Beside a ResNet encoder}" in text
    assert "large: photographs of streets & 100 & 0.910" in text


def test_names_cannot_break_the_document(tmp_path: Path):
    text = write_plate_report(measured(reader(r"50%_\of{all}", 0.95)), tmp_path).read_text()
    assert r"50\%\_\textbackslash{}of\{all\}" in text


@given(st.text())
def test_no_letter_of_a_text_is_left_that_latex_would_obey(text: str):
    left = re.sub(r"\\(text\w+\{\}|[{}$&#%_])|\$\\(times|infty|geq|leq)\$|\$-\$", "", safe(text))
    assert not set(left) & set("\\{}$&#%_^~")


def test_a_figure_that_was_not_measured_is_a_dash():
    assert ["--", "--", "0.50"] == [share(None), share(float("nan")), share(0.5, 2)]
    assert " & -- \\\\" in table(("", "x"), [("row", share(None))], "caption")


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed (apt install texlive-latex-base)"
)
def test_pdflatex_makes_a_document_of_it_with_all_its_pictures(tmp_path: Path):
    plots = tmp_path / "run" / "plots"
    plots.mkdir(parents=True)
    for name in ("losses", "scores"):
        cv2.imwrite(str(plots / f"{name}.png"), np.zeros((20, 30, 3), np.uint8))
    for which in ("detector", "reader"):
        take_curves(tmp_path / "run", which, tmp_path)
    source = write_plate_report(measured(reader("small", 0.95), reader("_50%", 0.96)), tmp_path)
    made = typeset(source)
    assert made is not None
    assert b"%PDF" == made.read_bytes()[:4]
    assert {*CURVES, "run", source.name, made.name} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed (apt install texlive-latex-base)"
)
def test_what_pdflatex_refuses_is_told_in_its_own_words(tmp_path: Path):
    (tmp_path / "bad.tex").write_text(r"\documentclass{article}\begin{document}\nonsense\end{document}")
    with pytest.raises(ConfigError, match="Undefined control sequence"):
        typeset(tmp_path / "bad.tex")


def test_figures_of_an_earlier_report_are_read_again_and_others_are_refused(tmp_path: Path):
    path = tmp_path / "measured.json"
    path.write_text(json.dumps(measured(reader("small", 0.95))))
    assert 66 == read_measured(path)["detector"]["found"]["pictures"]
    path.write_text("{}")
    with pytest.raises(ConfigError, match="another kind"):
        read_measured(path)
    path.write_text("{")
    with pytest.raises(DataError, match="no figures"):
        read_measured(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_measured(tmp_path / "none.json")


def test_a_training_that_has_not_ended_has_no_curves_to_show(tmp_path: Path):
    with pytest.raises(DataError, match="no curves"):
        take_curves(tmp_path, "reader", tmp_path)


def test_the_sheet_of_pictures_is_as_large_as_its_tiles(tmp_path: Path):
    from streamdet.reports.plate_pictures import _sheet

    _sheet([np.zeros((50, 100, 3), np.uint8)] * 5, tmp_path / "sheet.jpg")
    picture = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert (2 * 58, 4 * 108, 3) == picture.shape
