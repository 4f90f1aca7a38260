"""A whole training of a plate reader: options in, a run's folder out; the loop is that of the detectors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field

from streamdet.models.plate_reader import PlateReader, PlateReaderOptions
from streamdet.models.reader_weights import TrainedReader, load_trained_reader, save_reader
from streamdet.models.weights import write_whole
from streamdet.scenes.alphabets import CHARACTERS
from streamdet.scenes.plate_crops import CropOptions
from streamdet.training.batches import Samples
from streamdet.training.checkpoint import Progress
from streamdet.training.distributed import Ranks, joined
from streamdet.training.hardware import hardware_for
from streamdet.training.options import LearningOptions
from streamdet.training.plots import draw_curves
from streamdet.training.reader_crops import CropSamples, JudgedCrops, RenderedCrops, crops_to_judge_by
from streamdet.training.reader_crops import joined as joined_crops
from streamdet.training.reader_judge import judged
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import RunFolder
from streamdet.training.running import commit
from streamdet.training.schedule import Stretch
from streamdet.training.trainer import STOPPED, Task, train

FIGURE = "score"
_CLEAR_PX = 18.0


class ReaderFamily(PlateReaderOptions):
    """A network that reads plates."""

    family: Literal["plate_reader"] = "plate_reader"


class ReaderTrainOptions(LearningOptions):
    """One training of a plate reader."""

    data: RenderedCrops = RenderedCrops()
    model: Annotated[ReaderFamily, Field(description="The network.")] = ReaderFamily()
    small_share: Annotated[
        float, Field(ge=0, le=1, description="Share of the steps at the beginning with large and clear crops.")
    ] = 0.0
    plain_share: Annotated[
        float, Field(ge=0, le=1, description="Without meaning here: crops are alike to the end.")
    ] = 0.0


@dataclass(frozen=True)
class ReaderOutcome:
    """How a training ended."""

    folder: Path
    progress: Progress
    scores: dict[str, float] | None = None  # of the best weights

    @property
    def stopped(self) -> bool:
        """It was asked to stop and can be resumed."""
        return self.progress.ended == STOPPED


def run_reader_training(
    options: ReaderTrainOptions,
    folder: RunFolder,
    reporter: Reporter,
    *,
    command: str = "",
    stop: Callable[[], bool] = lambda: False,
) -> ReaderOutcome:
    """Train to the end of the budget and leave everything in the folder; go on with what lies there already."""
    hardware = hardware_for(options)
    torch.set_num_threads(hardware.threads)
    with joined(hardware.device) as ranks:
        crops = crops_to_judge_by(options.data)
        task = _task(options, crops, folder, ranks)
        reporter.say(
            f"plate reader, {options.model.encoder} encoder, {task.model.parameter_count():,} parameters · "
            f"rendered crops, {len(crops)} to judge by, {len(crops.real)} of them real · {hardware.said}"
        )
        progress = train(task, options, folder, hardware, ranks, reporter, stop)
        if progress.ended == STOPPED or not ranks.first:
            return ReaderOutcome(folder.path, progress)
        reporter.pause()
        return ReaderOutcome(folder.path, progress, _finish(options, crops, folder, progress, hardware.said, command))


def _task(options: ReaderTrainOptions, crops: JudgedCrops, folder: RunFolder, ranks: Ranks) -> Task[PlateReader]:
    torch.manual_seed(options.seed)
    model = PlateReader(len(CHARACTERS), options.model)
    drawn = options.data.crops()

    def samples(stretch: Stretch) -> Samples:
        return CropSamples(clear(drawn) if stretch.small else drawn)

    def judge(averaged: PlateReader) -> Mapping[str, float]:
        return judged(averaged, crops)

    def keep(averaged: PlateReader, progress: Progress) -> None:
        plain = PlateReaderOptions.model_validate(options.model.model_dump(exclude={"family"}))
        provenance = _provenance(options, progress)
        save_reader(
            folder.best, TrainedReader(averaged, plain, CHARACTERS, options.data.size, progress.scores, provenance)
        )

    identity = options.data.identity()
    return Task(model, 1, len(crops), samples, judge, keep, identity, joined_crops, FIGURE)


def clear(crops: CropOptions) -> CropOptions:
    """Crops that show what characters are, before it is learnt what may become of them."""
    smallest, largest = crops.glyph_px
    return replace(crops, glyph_px=(min(max(smallest, _CLEAR_PX), largest), largest), severity=0.4 * crops.severity)


def _provenance(options: ReaderTrainOptions, progress: Progress) -> dict[str, str]:
    return {
        "data": "rendered crops of plates",
        "crops_seen": str(progress.step * options.per_step),
        "steps": str(progress.step),
        "seed": str(options.seed),
        "streamdet": metadata.version("streamdet"),
        "torch": str(torch.__version__),
        "commit": commit(),
    }


def _finish(
    options: ReaderTrainOptions,
    crops: JudgedCrops,
    folder: RunFolder,
    progress: Progress,
    machine: str,
    command: str,
) -> dict[str, float]:
    """Score the best weights once more, draw the curves and write the card."""
    best = load_trained_reader(folder.best)
    scores = judged(best.model, crops)
    draw_curves(folder, "exact texts", [name for name in scores if name.startswith("exact")])
    rows = {
        "network": f"plate reader, {options.model.encoder} encoder, {best.model.parameter_count():,} parameters",
        "input": "{}x{}, gray".format(*options.data.size),
        "learnt from": f"{progress.step * options.per_step:,} rendered crops in {progress.step:,} steps",
        "best weights": f"after step {progress.best_step:,}",
        "skipped steps": progress.skipped,
        "ended": progress.ended,
        "time": f"{timedelta(seconds=round(progress.seconds))}, scoring included",
        "machine": machine,
        "seed": options.seed,
        "commit": best.provenance["commit"] or "unknown",
        "judged by": f"{len(crops.known)} rendered crops, {len(crops.unseen)} in styles and layouts that were not "
        f"learnt, {len(crops.real)} real ones",
    }
    text = [
        f"# {folder.path.resolve().name}",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in rows.items()),
        "",
        f"    {command}" if command else "",
        "",
        "## Scores",
        "",
        "| | |",
        "|---|---:|",
        *(f"| {name.replace('_', ' ')} | {value:.3f} |" for name, value in scores.items()),
        "",
        "![losses](plots/losses.png) ![scores](plots/scores.png)",
        "",
    ]
    write_whole(folder.card, lambda file: file.write("\n".join(text).encode()))
    content = json.dumps({"scores": scores, "provenance": best.provenance}, indent=1) + "\n"
    write_whole(folder.scores, lambda file: file.write(content.encode()))
    return scores
