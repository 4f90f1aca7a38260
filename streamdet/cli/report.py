"""`streamdet report …`: what was measured, as a document."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

report_app = typer.Typer(no_args_is_help=True)


@report_app.callback()
def _report() -> None:
    """What was measured, as a document."""


@report_app.command()
def plates(
    suite: Annotated[str, typer.Argument(help="The suite that finds and reads.")] = "plates",
    out: Annotated[Path, typer.Option(help="A folder for the report, its pictures and measured.json.")] = Path(
        "out/report"
    ),
    pictures: Annotated[Path | None, typer.Option(help="A folder of labelled pictures of streets.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Its readings.csv, corners.csv, ignore.csv.")] = None,
    split: Annotated[str, typer.Option(help="Of the readings.")] = "test",
    crops: Annotated[Path | None, typer.Option(help="A folder of cut out plates with labels.csv.")] = None,
    beside: Annotated[list[str] | None, typer.Option(help="A reader to compare with; may be repeated.")] = None,
    detector_run: Annotated[Path | None, typer.Option(help="The detector's training, for its curves.")] = None,
    reader_run: Annotated[Path | None, typer.Option(help="The reader's training, for its curves.")] = None,
    measured: Annotated[Path | None, typer.Option(help="Measure nothing: take these figures.")] = None,
) -> None:
    """Measure a suite of plates and write it up as LaTeX, and as PDF where pdflatex is installed.

    streamdet report plates --pictures ../data/plates_ro --labels tests/data/plates_ro --out docs/report
    """
    import json

    from streamdet.cli.console import say
    from streamdet.reports.plate_measurements import ReportTask, measure, read_measured
    from streamdet.reports.plate_pictures import draw_read, draw_street, take_curves
    from streamdet.reports.plates import RIGHT, STREET, WRONG, write_plate_report
    from streamdet.reports.typesetting import typeset

    if measured is not None:
        figures = read_measured(measured)
    else:
        task = ReportTask(suite, tuple(beside or ()), pictures, labels, split, crops)
        figures = measure(task, lambda line: typer.echo(line, err=True))
    out.mkdir(parents=True, exist_ok=True)
    (out / "measured.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for which, run in (("detector", detector_run), ("reader", reader_run)):
        if run is not None:
            take_curves(run, which, out)
    if measured is None:
        draw_read(suite, out / RIGHT, out / WRONG)
        draw_street(suite, out / STREET)
    path = write_plate_report(figures, out)
    pdf = typeset(path)
    say(f"{path}" if pdf is None else f"{path}, {pdf.name}")
    if pdf is None:
        typer.echo("no pdflatex here: apt install texlive-latex-base, then run it on that file", err=True)
