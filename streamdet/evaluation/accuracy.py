"""The golden gate: a less precise file is judged by what it costs on labelled pictures, in points of mAP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from streamdet.datasets.samples import DataSet
from streamdet.errors import ModelRefused, StreamdetError
from streamdet.evaluation.answers import Progress
from streamdet.evaluation.detections import DetectionScores, score_detections
from streamdet.evaluation.predictors import EnginePredictor
from streamdet.graft.check import CheckReport, CheckRow
from streamdet.infer.backends import CATALOGUE, available
from streamdet.infer.shelf import Engine
from streamdet.manifest import Precision

MOST_POINTS = 1.0  # of mAP50-95 × 100
_LEAST_TO_JUDGE_BY = 0.05

ProgressOf = Callable[[str], Progress | None]  # told which file on which runtime is scored


@dataclass
class AccuracyJudge:
    """A judge for `graft.gate.add_file`: scores one engine's candidates on every runtime here against its fp32 file."""

    data_set: DataSet
    most_points: float = MOST_POINTS
    progress: ProgressOf = lambda _: None
    reference: DetectionScores | None = None  # of the fp32 file; scored by the first call where it is not given
    scores: dict[str, DetectionScores] = field(default_factory=dict)  # label → all figures, as they come

    def __call__(self, candidate: Engine, precision: Precision) -> CheckReport:
        """One row per runtime: `agrees` where it loses no more than may be lost."""
        reference = self.reference or self._score(candidate, "onnx-cpu", "fp32")
        self.reference = reference
        if not reference.map50_95 >= _LEAST_TO_JUDGE_BY:
            raise ModelRefused(
                f"the engine finds too little to tell what {precision} costs",
                where=self.data_set.name,
                expected=f"mAP50-95 of at least {_LEAST_TO_JUDGE_BY} with the fp32 file",
                got=f"{reference.map50_95:.3f} over {reference.pictures} pictures",
                hint="are these the right pictures? or train it further",
            )
        rows = []
        for place in available():
            if precision not in CATALOGUE[place.name].precisions or not place.usable:
                continue
            rows.append(self._row(candidate, place.name, precision, reference))
        return CheckReport(tuple(rows), {}, reference.pictures)

    def _row(self, candidate: Engine, runtime: str, precision: Precision, reference: DetectionScores) -> CheckRow:
        try:
            scores = self._score(candidate, runtime, precision)
        except StreamdetError as error:
            return CheckRow(runtime, precision, "auto", "fails", why=error.line)
        lost = points_lost(reference, scores)
        why = f"mAP50-95 {100 * reference.map50_95:.2f} → {100 * scores.map50_95:.2f}: {lost:+.2f} points lost"
        if lost > self.most_points:
            return CheckRow(runtime, precision, "auto", "differs", why=f"{why}, {self.most_points:g} allowed")
        return CheckRow(runtime, precision, "auto", "agrees", why=why)

    def _score(self, engine: Engine, runtime: str, precision: str) -> DetectionScores:
        label = f"{precision} on {runtime}"
        with EnginePredictor(engine, runtime, precision) as predictor:
            self.scores[label] = score_detections(predictor, self.data_set, progress=self.progress(label))
        return self.scores[label]


def points_lost(reference: DetectionScores, scores: DetectionScores) -> float:
    """Of mAP50-95, in hundredths; negative where it gained."""
    return 100 * (reference.map50_95 - scores.map50_95)
