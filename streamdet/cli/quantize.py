"""`streamdet engine quantize`: a less precise file beside an engine's fp32 one, if it finds the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from streamdet.cli.console import one_engine, say
from streamdet.errors import ConfigError
from streamdet.manifest import Precision

if TYPE_CHECKING:
    from streamdet.datasets.samples import DataSet
    from streamdet.graft.check import CheckReport
    from streamdet.graft.gate import Judge
    from streamdet.graft.pictures import Pixels
    from streamdet.infer.shelf import Engine

MOST_PICTURES = 512
_FEW_PICTURES = 64

PrecisionFile = Literal["fp16", "int8", "int8-sym", "int8-u8"]


def quantize(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR", help="An engine on the shelf, or its folder.")],
    precision: Annotated[
        PrecisionFile, typer.Option(help="int8 is int8-sym, for TensorRT; int8-u8 is for CPUs; fp16 needs no pictures.")
    ] = "int8",
    data: Annotated[
        str | None, typer.Option(help="Pictures like those of the deployment, for the ranges: a folder or a data set.")
    ] = None,
    score_on: Annotated[
        str | None, typer.Option(help="Labelled pictures that decide: a data set, as PATH:SPLIT. --data if labelled.")
    ] = None,
    most_loss: Annotated[float, typer.Option(min=0, help="Points of mAP50-95 that it may cost there.")] = 1.0,
) -> None:
    """Write an engine's fp16 or int8 file; it stays only if it finds what the fp32 file finds."""
    from rich.markup import escape

    from streamdet.graft.gate import add_file
    from streamdet.graft.precisions import in_precision

    engine = one_engine(name)
    wanted: Precision = "int8-sym" if precision == "int8" else precision
    folder, labelled = _pictures(data)
    shown = None
    if wanted != "fp16":
        if data is None:
            raise ConfigError(
                "int8 needs pictures", expected="--data, a folder of pictures like those of the deployment"
            )
        shown = _calibration(engine, folder, labelled)
        if len(shown) < _FEW_PICTURES:
            say(f"[yellow]note[/]: {len(shown)} pictures; ranges from fewer than {_FEW_PICTURES} are a guess")
    judge = _judge(score_on, labelled, most_loss)
    report = add_file(engine, wanted, in_precision(engine, wanted, shown), folder, judge)
    print_verdicts(report, wanted)
    say(f"[green]model.{wanted}.onnx[/] is in {escape(str(engine.folder))}")
    if wanted != "int8-u8":
        say(f"next: streamdet engine build {escape(engine.manifest.name)} --precision {wanted.removesuffix('-sym')}")


def print_verdicts(report: CheckReport, precision: Precision) -> None:
    """A line per runtime that was asked."""
    from rich.markup import escape

    for row in report.rows:
        if row.precision == precision and row.verdict != "not here":
            say(f"{row.runtime} {row.precision}: {row.verdict}{escape(f', {row.why}' if row.why else '')}")


def _pictures(data: str | None) -> tuple[Path | None, DataSet | None]:
    """What --data names: a folder of plain pictures, or a labelled data set."""
    from streamdet.datasets.catalogue import open_data_set
    from streamdet.errors import DataError

    if data is None:
        return None, None
    try:
        return None, open_data_set(data)
    except DataError as error:
        if Path(data).exists() and error.what == "no labels found":
            return Path(data), None
        raise


def _calibration(engine: Engine, folder: Path | None, labelled: DataSet | None) -> Pixels:
    from streamdet.evaluation.laying import laid_out
    from streamdet.graft.pictures import from_files, picture_files

    wanted = engine.manifest.input
    if labelled is not None:
        return laid_out(labelled, wanted, MOST_PICTURES)
    assert folder is not None
    return from_files(picture_files(folder, MOST_PICTURES), wanted)


def _judge(score_on: str | None, labelled: DataSet | None, most_loss: float) -> Judge | None:
    """By accuracy where labels are there, otherwise by agreement."""
    from streamdet.datasets.catalogue import open_data_set
    from streamdet.evaluation.accuracy import AccuracyJudge

    data_set = open_data_set(score_on) if score_on else labelled
    return AccuracyJudge(data_set, most_loss) if data_set is not None else None
