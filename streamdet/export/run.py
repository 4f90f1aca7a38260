"""From the folder of a training to an engine on the shelf, in every precision that was asked for and bears it."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamdet.datasets.samples import DataSet
from streamdet.errors import ConfigError, EngineMismatch, ModelRefused
from streamdet.evaluation.accuracy import MOST_POINTS, AccuracyJudge, points_lost
from streamdet.evaluation.answers import Progress
from streamdet.evaluation.detections import DetectionScores, score_detections
from streamdet.evaluation.laying import laid_out
from streamdet.evaluation.predictors import EnginePredictor, trained_predictor
from streamdet.export.engine import Exported, export_model
from streamdet.export.papers import CARD, Papers
from streamdet.graft.check import CheckReport
from streamdet.graft.gate import add_file
from streamdet.graft.precisions import in_precision
from streamdet.graft.shelving import card_of, refuse_name, swap_in
from streamdet.infer.shelf import Engine, open_engine
from streamdet.manifest import Nms, Precision, dump_manifest
from streamdet.models.contract import DetectionModel, RegionModel
from streamdet.models.localiser import Localiser
from streamdet.models.weights import Trained, load_trained
from streamdet.models.yolo import Yolo

log = logging.getLogger(__name__)

CORNERS = ("top_left", "top_right", "bottom_right", "bottom_left")
_CALIBRATED_ON = 512  # pictures
_EXPORT_MAY_COST = 0.2  # points of mAP50-95, single precision against torch


@dataclass(frozen=True)
class RunData:
    """A training's labelled pictures, as far as they are still there."""

    calibrate_on: DataSet | None = None  # what it learnt from
    score_on: DataSet | None = None  # its test pictures, or those that it was chosen by


@dataclass(frozen=True)
class Shelved:
    """What came of it."""

    engine: Engine
    exported: Exported
    torch: DetectionScores | None
    scores: DetectionScores | None  # of the engine, on the same pictures
    files: Mapping[Precision, CheckReport | ModelRefused]  # of the precisions that were asked for

    @property
    def lost(self) -> float | None:
        """Points of mAP50-95 from torch to the engine."""
        return None if self.torch is None or self.scores is None else points_lost(self.torch, self.scores)


def export_run(
    run: Path,
    name: str,
    *,
    shelf: Path,
    precisions: Sequence[Precision] = (),
    data: RunData = RunData(),
    score: float | None = None,
    most_points: float = MOST_POINTS,
    licence: str = "",
    replace_existing: bool = False,
    progress: Callable[[str], Progress | None] = lambda _: None,
) -> Shelved:
    """Whatever is wrong with the engine itself is one error, and nothing is left on the shelf.

    A precision that costs more than `most_points` of mAP50-95 is left out and told. The threshold of the engine is the
    one of the best F1 where none is given. Without pictures to score on, nothing is measured, and a precision is judged
    by whether it finds the same.
    """
    refuse_name(shelf, name, replace_existing)
    if not (data.calibrate_on or data.score_on) and any(one.startswith("int8") for one in precisions):
        raise ConfigError(
            "int8 needs pictures like those of the deployment: ranges are counted on them",
            hint="the run's own are not there; name others with --data",
        )
    trained = load_trained(run)
    papers = Papers.of(run)
    reference = None
    if data.score_on is not None:
        reference = score_detections(trained_predictor(run), data.score_on, progress=progress("torch"))
    shelf.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".partial", dir=shelf))
    try:
        exported = _export(trained, papers, name, aside, data, reference, score, licence)
        engine, scores = exported.engine, None
        if data.score_on is not None and reference is not None:
            scores = _scored(engine, data.score_on, reference, progress)
            engine = _with_scores(engine, scores, reference)
        judge = None
        if data.score_on is not None:
            judge = AccuracyJudge(data.score_on, most_points, progress, scores)
        files = {one: _add(engine, one, data, judge) for one in precisions}
        engine = _described(aside / name, papers)
        swap_in(aside / name, shelf / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Shelved(Engine(shelf / name, engine.manifest), exported, reference, scores, files)


def _export(
    trained: Trained,
    papers: Papers,
    name: str,
    shelf: Path,
    data: RunData,
    reference: DetectionScores | None,
    score: float | None,
    licence: str,
) -> Exported:
    model = trained.model
    if isinstance(model, RegionModel):
        raise EngineMismatch("regions of this network come from outside: it becomes a suite, not an engine", where=name)
    best = trained.scores.get("best_score", 0.25) if reference is None else reference.best.score
    learnt = trained.provenance.get("data", "")
    return export_model(
        model,
        name=name,
        shelf=shelf,
        size=trained.size,
        classes=trained.classes,
        keypoints=keypoint_names(model),
        pictures=data.score_on or data.calibrate_on,
        nms=Nms(iou=trained.nms_iou),
        score=round(min(max(best if score is None else score, 0.05), 0.95), 3) if score is None else score,
        provenance=papers.provenance(
            trained.provenance,
            trained.scores,
            licence=licence,
            data=None if data.score_on is None else f"learnt from {learnt}, scored on {data.score_on.name}",
        ),
        files=papers.files,
    )


def keypoint_names(model: DetectionModel) -> tuple[str, ...]:
    """Of what it finds on each object: four points are the corners of something written, others have numbers."""
    points = model.options.keypoints if isinstance(model, Yolo | Localiser) else 0
    return CORNERS if points == len(CORNERS) else tuple(f"point_{number}" for number in range(1, points + 1))


def _scored(
    engine: Engine, data_set: DataSet, reference: DetectionScores, progress: Callable[[str], Progress | None]
) -> DetectionScores:
    with EnginePredictor(engine, "onnx-cpu", "fp32") as predictor:
        scores = score_detections(predictor, data_set, progress=progress("engine"))
    if points_lost(reference, scores) > _EXPORT_MAY_COST:
        raise ModelRefused(
            "the engine scores lower than the model that it was made of",
            where=data_set.name,
            expected=f"mAP50-95 {100 * reference.map50_95:.2f}, at most {_EXPORT_MAY_COST} points less",
            got=f"{100 * scores.map50_95:.2f}",
        )
    return scores


def _with_scores(engine: Engine, scores: DetectionScores, reference: DetectionScores) -> Engine:
    """The engine with its measured figures, beside the one of torch, in its manifest."""
    measured = {key: round(value, 5) for key, value in scores.figures().items() if value == value}
    measured["torch_map50_95"] = round(reference.map50_95, 5)
    provenance = engine.manifest.provenance.model_copy(update={"scores": measured})
    manifest = engine.manifest.model_copy(update={"provenance": provenance})
    aside = engine.folder / ".manifest.json.partial"
    aside.write_text(dump_manifest(manifest), encoding="utf-8")
    os.replace(aside, engine.folder / "manifest.json")
    return Engine(engine.folder, manifest)


def _add(
    engine: Engine, precision: Precision, data: RunData, judge: AccuracyJudge | None
) -> CheckReport | ModelRefused:
    """One more file, or why not."""
    pictures = None
    source = data.calibrate_on or data.score_on
    if precision.startswith("int8"):
        if source is None:
            raise ConfigError(
                f"{precision} needs pictures", hint="the run's own are not there; give others with --data"
            )
        log.info("%s: %s, ranges counted on %d pictures at most …", engine.manifest.name, precision, _CALIBRATED_ON)
        pictures = laid_out(source, engine.manifest.input, _CALIBRATED_ON)
    log.info("%s: writing %s and trying it on every runtime …", engine.manifest.name, precision)
    current = open_engine(engine.folder)
    assert isinstance(current, Engine)
    try:
        return add_file(current, precision, in_precision(current, precision, pictures), judge=judge)
    except ModelRefused as refused:
        return refused


def _described(folder: Path, papers: Papers) -> Engine:
    """CARD.md anew, with all files, and what the training says of itself below."""
    engine = open_engine(folder)
    assert isinstance(engine, Engine)
    text = card_of(engine.manifest)
    if papers.card is not None:
        text += "\n" + re.sub(r"^#", "##", papers.card, flags=re.MULTILINE)
    (folder / CARD).write_text(text, encoding="utf-8")
    return engine
