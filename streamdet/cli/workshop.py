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
def detections(
    engine: Annotated[str, typer.Argument(help="An engine on the shelf, its folder, or the folder of a training.")],
    data: Annotated[str, typer.Argument(metavar="DATASET", help="Labelled pictures: PATH, or PATH:SPLIT.")],
    split: Annotated[str | None, typer.Option(help="Which of its lists: train, val, test …")] = None,
    score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Threshold of what is counted; where F1 is best, if not named.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A folder for scores.json and plots.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every figure as JSON instead.")] = False,
    backend: Annotated[str, typer.Option(help="The runtime of an engine.")] = "auto",
    precision: Annotated[str | None, typer.Option(help="The file of an engine that has several.")] = None,
    scales: Annotated[
        str | None, typer.Option(help="Show a training's model each picture in several sizes, such as 0.75,1,1.5.")
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Let boxes of a training's model that agree become one, as OverFeat did.")
    ] = False,
) -> None:
    """COCO and VOC average precision, per class and size, confusion, and the best threshold."""
    import json

    from streamdet.cli.scores import print_scores, progress_bar
    from streamdet.datasets.catalogue import DataSpec, open_data_set
    from streamdet.evaluation.detections import score_detections
    from streamdet.evaluation.merged import open_merging
    from streamdet.evaluation.plots import draw_all
    from streamdet.evaluation.predictors import Scorable, open_predictor
    from streamdet.evaluation.scales import open_at_scales, scales_of

    spec = DataSpec.parse(data)
    data_set = open_data_set(spec.model_copy(update={"split": split}) if split else spec)
    if scales:
        predictor: Scorable = open_at_scales(engine, scales_of(scales), backend, precision)
    elif merge:
        predictor = open_merging(engine, backend, precision)
    else:
        predictor = open_predictor(engine, backend, precision)
    try:
        with progress_bar(f"scoring {predictor.label}") as progress:
            scores = score_detections(predictor, data_set, score=score, progress=progress)
    finally:
        predictor.close()
    figures = json.dumps({"detector": predictor.label, **scores.as_json()}, indent=2, ensure_ascii=False)
    if as_json:
        typer.echo(figures)
    else:
        print_scores(predictor.label, scores)
    if out is not None:
        plots = draw_all(scores, data_set, out)
        (out / "scores.json").write_text(figures + "\n", encoding="utf-8")
        typer.echo(f"{out}: scores.json, {', '.join(path.name for path in plots)}", err=as_json)


@eval_app.command()
def localisation(
    engine: Annotated[str, typer.Argument(help="An engine on the shelf, its folder, or the folder of a training.")],
    data: Annotated[str, typer.Argument(metavar="DATASET", help="Pictures of one object each: PATH, or PATH:SPLIT.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead.")] = False,
    backend: Annotated[str, typer.Option(help="The runtime of an engine.")] = "auto",
) -> None:
    """How well the one object of a picture is placed: overlap of its box, distance of its landmarks."""
    import json
    from dataclasses import asdict

    from streamdet.cli.scores import progress_bar
    from streamdet.datasets.catalogue import open_data_set
    from streamdet.evaluation.localisation import score_localisation
    from streamdet.evaluation.predictors import open_predictor

    data_set, predictor = open_data_set(data), open_predictor(engine, backend)
    try:
        with progress_bar(f"scoring {predictor.label}") as progress:
            scores = score_localisation(predictor, data_set, progress)
    finally:
        predictor.close()
    if as_json:
        typer.echo(json.dumps({"detector": predictor.label, **asdict(scores)}, indent=2, ensure_ascii=False))
        return
    typer.echo(f"{scores.data}: {scores.pictures} pictures, mean IoU {scores.mean_overlap:.3f}, ", nl=False)
    typer.echo(f"right class {scores.right_class:.3f}")
    if scores.landmark_error is not None:
        away, near = 100 * scores.landmark_error, 100 * (scores.landmarks_near or 0.0)
        typer.echo(f"landmarks off by {away:.2f} % of the object's size, {near:.1f} % of them within a tenth of it")


@eval_app.command()
def segments(
    engine: Annotated[str, typer.Argument(help="A segmenter on the shelf, its folder, or the folder of a training.")],
    data: Annotated[str, typer.Argument(metavar="DATASET", help="Pictures with outlines: PATH, or PATH:SPLIT.")],
    out: Annotated[Path | None, typer.Option(help="A file for the figures, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every figure as JSON instead.")] = False,
    backend: Annotated[str, typer.Option(help="The runtime of an engine.")] = "auto",
    precision: Annotated[str | None, typer.Option(help="The file of an engine that has several.")] = None,
) -> None:
    """How well pixels are labelled: overlap (IoU) per class and in the mean, and the share of pixels that are right."""
    import json

    from streamdet.cli.scores import print_segment_scores, progress_bar
    from streamdet.datasets.catalogue import open_data_set
    from streamdet.evaluation.segmentation import open_segmenter, score_segments

    data_set = open_data_set(data)
    predictor = open_segmenter(engine, backend, precision)
    try:
        with progress_bar(f"scoring {predictor.label}") as progress:
            scores = score_segments(predictor, data_set, progress)
    finally:
        predictor.close()
    figures = json.dumps({"segmenter": predictor.label, **scores.as_json()}, indent=2, ensure_ascii=False)
    if as_json:
        typer.echo(figures)
    else:
        print_segment_scores(predictor.label, scores)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(figures + "\n", encoding="utf-8")


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


@eval_app.command()
def plates(
    engine: Annotated[str, typer.Argument(help="A suite, a detector of plates, or a reader.")],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="Pictures (PATH or PATH:SPLIT), a folder of crops with labels.csv, rendered:crops or rendered:passes.",
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(help="A folder with readings.csv, and corners.csv and ignore.csv where there are any."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Of the readings: test, validation …")] = None,
    out: Annotated[Path | None, typer.Option(help="A file for the figures, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every figure as JSON instead.")] = False,
    backend: Annotated[str, typer.Option(help="The runtime of an engine.")] = "auto",
    score: Annotated[float | None, typer.Option(min=0, max=1, help="Plates above this count as found.")] = None,
) -> None:
    """Plates found, corners, texts and masks, by their height; of passes, what the vote makes of them.

    A reader alone reads where the labels say that the plates are; a suite reads where its detector found them.

        streamdet eval plates plates ../data/plates_ro --labels tests/data/plates_ro --split test
        streamdet eval plates plate-reader 'rendered:crops?split=test&count=300&glyph_px=10-16'
    """
    import json

    from streamdet.cli.plate_scores import print_plate_scores
    from streamdet.cli.scores import progress_bar
    from streamdet.evaluation.plate_tasks import PlateTask, evaluate_plates

    task = PlateTask(engine, data, labels, split, backend, score)
    with progress_bar(f"scoring {engine}") as progress:
        label, scores = evaluate_plates(task, progress)
    figures = json.dumps({"engine": label, **scores.as_json()}, indent=2, ensure_ascii=False)
    if as_json:
        typer.echo(figures)
    else:
        print_plate_scores(label, scores)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(figures + "\n", encoding="utf-8")


@eval_app.command()
def proposals(
    method: Annotated[
        str, typer.Argument(help="selective-search, edge-boxes or sliding-windows; options as ?strategy=quality&seed=1")
    ],
    data: Annotated[str, typer.Argument(metavar="DATASET", help="Labelled pictures: PATH, or PATH:SPLIT.")],
    limit: Annotated[int, typer.Option(min=1, help="Count so many of each picture's proposals.")] = 2000,
    out: Annotated[Path | None, typer.Option(help="A folder for proposals.json and the curves.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every figure as JSON instead.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads; one per core, if not named.")] = None,
) -> None:
    """Recall, average best overlap, and recall by the number of proposals."""
    import json

    from streamdet.cli.scores import print_proposal_scores, progress_bar
    from streamdet.datasets.catalogue import open_data_set
    from streamdet.evaluation.proposals import draw_recall, score_proposals
    from streamdet.proposals.catalogue import open_proposer
    from streamdet.proposals.shelved import proposals_of

    proposer, data_set = open_proposer(method), open_data_set(data)
    with progress_bar(f"proposals of {data_set.name}") as progress:
        found = proposals_of(data_set, proposer, workers=workers, progress=progress)
        scores = score_proposals(data_set, method, found, limit=limit)
    figures = json.dumps(scores.as_json(), indent=2, ensure_ascii=False)
    if as_json:
        typer.echo(figures)
    else:
        print_proposal_scores(scores)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "proposals.json").write_text(figures + "\n", encoding="utf-8")
        draw_recall([scores], out / "recall.png")
        typer.echo(f"{out}: proposals.json, recall.png", err=as_json)


@eval_app.command()
def passed(
    truth: Annotated[Path, typer.Argument(help="What synthetic:plates?truth=FILE has written.")],
    records: Annotated[Path, typer.Argument(help="The records of a run on that scene, as JSONL.")],
    height: Annotated[
        float, typer.Option(min=4, help="Plates that were never so many pixels high do not count.")
    ] = 14.0,
    least: Annotated[float, typer.Option(min=0, max=1, help="Exit with 1 where a smaller share was read right.")] = 0.0,
) -> None:
    """How many of the plates that passed in a synthetic scene were read right."""
    from streamdet.evaluation.passed import plates_passed

    found = plates_passed(truth, records, height)
    typer.echo(
        f"{found.plates} plates passed: {found.right} read right ({100 * found.share:.1f} %), {found.single} after a "
        f"single look, {found.missed} missed; {found.wrong} final texts that stand on no plate"
    )
    raise typer.Exit(0 if found.share >= least else 1)
