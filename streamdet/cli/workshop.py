"""`streamdet eval …`: scores against ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

eval_app = typer.Typer(no_args_is_help=True)


@eval_app.callback()
def _eval() -> None:
    """Scores against ground truth."""


@eval_app.command()
def tracks(
    pred: Annotated[Path, typer.Argument(help="Folder of <sequence>.txt or .csv in the MOTChallenge layout.")],
    gt: Annotated[Path, typer.Argument(help="Folder of <sequence>/gt/gt.txt.")],
    benchmark: Annotated[
        str, typer.Option(help="Whose rules: MOT15, MOT16, MOT17 or MOT20; MOT15 counts every row of the truth.")
    ] = "MOT17",
) -> None:
    """HOTA, DetA, AssA, MOTA, IDF1 and identity switches, per sequence and together."""
    from rich.console import Console
    from rich.table import Table

    from streamdet.errors import ConfigError
    from streamdet.evaluation.tracks import BENCHMARKS, evaluate_tracks

    rules = BENCHMARKS.get(benchmark.upper())
    if rules is None:
        raise ConfigError("no such benchmark", expected=", ".join(BENCHMARKS), got=benchmark)
    table = Table("sequence", *("HOTA", "DetA", "AssA", "MOTA", "IDF1", "switches"))
    for column in table.columns[1:]:
        column.justify = "right"
    for row in evaluate_tracks(pred, gt, benchmark=rules):
        shares = (row.hota, row.det_a, row.ass_a, row.mota, row.idf1)
        table.add_row(row.sequence, *(f"{share:.2f}" for share in shares), str(row.switches))
    Console().print(table)
