"""A plate reader's training: options in, a run's folder out; the loop is that of the detectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from streamdet.models.contract import Phase
from streamdet.models.plate_reader import PlateReader, PlateReaderOptions
from streamdet.models.reader_weights import TrainedReader, load_trained_reader, save_reader
from streamdet.scenes.alphabets import CHARACTERS
from streamdet.scenes.plate_crops import CropOptions
from streamdet.training.batches import Samples
from streamdet.training.card import Report, provenance_of
from streamdet.training.checkpoint import Progress
from streamdet.training.course import Course, Outcome, run_course
from streamdet.training.distributed import Ranks
from streamdet.training.options import LearningOptions, Share
from streamdet.training.plots import draw_curves
from streamdet.training.reader_crops import CropSamples, JudgedCrops, RenderedCrops, crops_to_judge_by, joined
from streamdet.training.reader_judge import judged
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import RunFolder
from streamdet.training.schedule import Stretch, stretches
from streamdet.training.trainer import Task

FIGURE = "score"
_CLEAR_PX = 18.0
_ONCE = (("at_least_steps", 0), ("plain_share", 0.0), ("multi_scale", 0.0))
_ONCE_SCORED = (("nms_iou", 0.65),)


class ReaderFamily(PlateReaderOptions):
    """A network that reads plates."""

    family: Literal["plate_reader"] = "plate_reader"


class ReaderTrainOptions(LearningOptions):
    """One training of a plate reader."""

    data: RenderedCrops = RenderedCrops()
    model: Annotated[ReaderFamily, Field(description="The network.")] = ReaderFamily()
    pictures: Annotated[int, Field(ge=1, description="The budget: crops seen. They are drawn without end.")]
    small_share: Annotated[
        Share, Field(description="Share of the steps at the beginning with large and clear crops.")
    ] = 0.0

    def steps(self, pictures: int) -> int:
        """As many as the budget gives; there is no set of crops that could be seen once."""
        return max(1, round(self.pictures / self.per_step))

    def plan(self, steps: int, phases: Sequence[Phase]) -> list[Stretch]:
        """Clear crops at the beginning; then they are alike to the end."""
        return stretches(steps, phases, small_share=self.small_share)


def as_it_is_now(values: dict[str, Any]) -> dict[str, Any]:
    """A run's options as this version has them: a reader once had some that were for pictures with boxes.

    They are passed over where they say what they always said; one that was changed is refused like any other word.
    """
    kept = {name: value for name, value in values.items() if (name, value) not in _ONCE}
    scoring = kept.get("evaluation")
    if isinstance(scoring, dict):
        kept["evaluation"] = {name: value for name, value in scoring.items() if (name, value) not in _ONCE_SCORED}
    return kept


def run_reader_training(
    options: ReaderTrainOptions,
    folder: RunFolder,
    reporter: Reporter,
    *,
    command: str = "",
    stop: Callable[[], bool] = lambda: False,
) -> Outcome[dict[str, float]]:
    """Train to the end of the budget and leave everything in the folder; go on with what lies there already."""

    def prepare(ranks: Ranks) -> Course[dict[str, float]]:
        crops = crops_to_judge_by(options.data)
        task = _task(options, crops, folder)
        said = (
            f"plate reader, {options.model.encoder} encoder, {task.model.parameter_count():,} parameters · "
            f"rendered crops, {len(crops)} to judge by, {len(crops.real)} of them real"
        )
        return Course(task, said, lambda progress: _report(options, crops, folder))

    return run_course(options, prepare, folder, reporter, command=command, stop=stop)


def _task(options: ReaderTrainOptions, crops: JudgedCrops, folder: RunFolder) -> Task[PlateReader]:
    torch.manual_seed(options.seed)
    model = PlateReader(len(CHARACTERS), options.model)
    drawn = options.data.crops()

    def samples(stretch: Stretch) -> Samples:
        return CropSamples(clear(drawn) if stretch.small else drawn)

    def judge(averaged: PlateReader) -> Mapping[str, float]:
        return judged(averaged, crops)

    def keep(averaged: PlateReader, progress: Progress) -> None:
        plain = PlateReaderOptions.model_validate(options.model.model_dump(exclude={"family"}))
        provenance = provenance_of(options, progress, data="rendered crops of plates")
        save_reader(
            folder.best, TrainedReader(averaged, plain, CHARACTERS, options.data.size, progress.scores, provenance)
        )

    identity = options.data.identity()
    return Task(model, 1, len(crops), samples, judge, keep, identity, joined, FIGURE)


def clear(crops: CropOptions) -> CropOptions:
    """Crops that show what characters are, before it is learnt what may become of them."""
    smallest, largest = crops.glyph_px
    return replace(crops, glyph_px=(min(max(smallest, _CLEAR_PX), largest), largest), severity=0.4 * crops.severity)


def _report(options: ReaderTrainOptions, crops: JudgedCrops, folder: RunFolder) -> Report[dict[str, float]]:
    """Score the best weights once more and draw the curves."""
    best = load_trained_reader(folder.best)
    scores = judged(best.model, crops)
    draw_curves(folder, "exact texts", [name for name in scores if name.startswith("exact")])
    width, height = options.data.size
    return Report(
        scores=scores,
        headline=", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in scores.items()),
        summary=f"A plate reader, {options.model.encoder} encoder, {best.model.parameter_count():,} parameters, "
        f"{width} by {height}, gray, from scratch.",
        facts={
            "learnt from": best.provenance["data"],
            "judged by": f"{len(crops.known)} rendered crops, {len(crops.unseen)} in styles and layouts that were "
            f"not learnt, {len(crops.real)} real ones",
        },
        provenance=best.provenance,
        scored_on=f"{len(crops)} crops",
        tables=[
            "| | |",
            "|---|---:|",
            *(f"| {name.replace('_', ' ')} | {value:.3f} |" for name, value in scores.items()),
            "",
            "![losses](plots/losses.png) ![scores](plots/scores.png)",
        ],
        figures={"scores": scores},
    )
