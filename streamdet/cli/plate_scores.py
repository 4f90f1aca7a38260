"""Scores of plates in the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from streamdet.cli.console import say

if TYPE_CHECKING:
    from streamdet.evaluation.plate_texts import TextScores
    from streamdet.evaluation.plates import FoundScores, PlateScores


def print_plate_scores(label: str, scores: PlateScores) -> None:
    """Found, read, masks, passes: whatever was measured."""
    from rich.markup import escape

    say(f"{escape(label)}, {escape(scores.data)}")
    if scores.found is not None:
        _print_found(scores.found)
    if scores.texts is not None:
        _print_texts({"all": scores.texts, **scores.texts_by_height})
    if scores.segmentation is not None:
        masks = scores.segmentation
        say(f"masks: mean IoU {_share(masks.mean_iou)}, background {_share(masks.background)}")
        say("  " + "  ".join(f"{name} {_share(value)}" for name, value in masks.per_class.items()))
    if scores.passes is not None:
        of = scores.passes
        say(f"{of.passes} passes: exact {_share(of.exact)}, wrong {_share(of.wrong)}, undecided {_share(of.undecided)}")
        say(f"  single looks exact {_share(of.single_exact)}; final on what is no plate {_share(of.final_on_nothing)}")


def _print_found(found: FoundScores) -> None:
    say(
        f"{found.pictures} pictures, {found.plates} plates: AP50 {_share(found.ap50)}; above {found.score:.2f} recall "
        f"{_share(found.recall)}, precision {_share(found.precision)}, {found.false_per_picture:.3f} false a picture"
    )
    say(f"  recall at one false plate in ten pictures: {_share(found.recall_at_false)}")
    say(f"  recall by the plate's height: {_listed(found.recall_by_height)}")
    if not math.isnan(found.corner_error):
        say(
            f"  corners off by {found.corner_error_px:.2f} px, {_share(found.corner_error)} of the height: "
            f"{_listed(found.corner_error_by_height)}"
        )


def _print_texts(rows: Mapping[str, TextScores]) -> None:
    from rich.table import Table

    table = Table("height", box=None, padding=(0, 2, 0, 0))
    for column in ("plates", "exact", "characters", "unread", "distinct", "exact ones"):
        table.add_column(column, justify="right")
    for name, row in rows.items():
        figures = (row.plates, _share(row.exact), _share(row.characters), row.unread, row.distinct)
        table.add_row(name, *map(str, figures), _share(row.distinct_exact))
    say(table)


def _listed(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {_share(value)}" for name, value in shares.items()) or "-"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
