"""The lineage side by side on one data set and one machine: a table and a plot.

    python benchmarks/lineage.py train [NAME …]    # trains what is missing, and goes on where that was stopped
    python benchmarks/lineage.py table             # measures what is there → OUT/lineage.md, lineage.json, lineage.png

The data are blood cells (BCCD); HOG + SVM and deformable parts are measured on number plates (docs/lineage.md) and are
not in here. Times are CPU seconds of one thread, the median over pictures, each of which every system is shown in turn,
so that what disturbs one disturbs all. The network's part is from pixels and regions to boxes and scores, before
suppression; regions from outside are searched anew, and timed apart. All systems with such regions get the same.
What is not trained is built from its recipe and timed with random weights, which takes as long; it has no accuracy.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import matplotlib
import numpy as np
import torch
import yaml

from streamdet.datasets.catalogue import open_data_set
from streamdet.datasets.samples import DataSet
from streamdet.evaluation.detections import score_detections
from streamdet.evaluation.predictors import open_predictor
from streamdet.evaluation.proposals import score_proposals
from streamdet.infer.preprocess import Letterbox
from streamdet.manifest import EngineInput
from streamdet.models.catalogue import build_model
from streamdet.models.contract import AnyDetector, RegionModel
from streamdet.models.weights import load_trained
from streamdet.picture import Picture
from streamdet.proposals.catalogue import open_proposer
from streamdet.proposals.contract import Proposals, Proposer
from streamdet.proposals.on_input import regions_on
from streamdet.training.options import TrainOptions

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

RECIPES = Path("configs/training")
RUNS = Path("runs")
DATA = "../shared/data/bccd:test"
RATIO = 20.0  # R-CNN's network takes at least so often as long as Fast R-CNN's
TWO_STAGES, ONE_STAGE, INK = "#d1495b", "#2e86ab", "#333333"
SIDES = (  # of a dot, where its name may stand: how far off, and how it is aligned there
    (11, 0, "left", "center"),
    (0, 11, "center", "bottom"),
    (0, -11, "center", "top"),
    (-11, 0, "right", "center"),
)
_STOOD_STILL = 10.0  # a stretch of learning that took so many usual ones: the machine did something else meanwhile

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class System:
    """One step of the lineage."""

    name: str
    year: str
    recipe: str  # of configs/training, and the name of its run
    least: float  # test mAP50 that it has to reach
    two_stages: bool = False

    def places(self, runs: Path) -> tuple[Path, ...]:
        """Where its training may lie: by itself, or among those of benchmarks/training.py."""
        return runs / self.recipe, runs / "benchmark" / f"ours-{self.recipe}-full-s0"

    def finished(self, runs: Path) -> Path | None:
        """The folder of its finished training."""
        return next((place for place in self.places(runs) if (place / "scores.json").exists()), None)

    def command(self, runs: Path) -> list[str]:
        """What trains it, or goes on with it."""
        folder = runs / self.recipe
        if (folder / "config.yaml").exists():
            return ["train", "--resume", str(folder)]
        return ["train", str(RECIPES / f"{self.recipe}.yaml"), "--out", str(folder)]


SYSTEMS = (
    System("R-CNN", "2014", "bccd-rcnn", 0.60, two_stages=True),
    System("Fast R-CNN", "2015", "bccd-fast-rcnn", 0.72, two_stages=True),
    System("Faster R-CNN", "2015", "bccd-faster-rcnn", 0.80, two_stages=True),
    System("YOLOv1", "2016", "bccd-yolo-v1", 0.50),
    System("SSD", "2016", "bccd-ssd", 0.75),
    System("RetinaNet", "2017", "bccd-retinanet", 0.80),
    System("YOLO-n", "today", "bccd-yolo-n", 0.88),
)
FASTER_AND_FASTER = ("R-CNN", "Fast R-CNN", "Faster R-CNN", "YOLOv1")


@dataclass(frozen=True)
class Learnt:
    """What the folder of a finished training tells."""

    pictures: int  # seen, repeats included
    seconds: float  # scoring included, standing still left out
    still_s: float
    map50: float
    map50_95: float


@dataclass
class Times:
    """Of the pictures shown, in their order."""

    proposing_s: list[float] = field(default_factory=list)
    network_s: list[float] = field(default_factory=list)
    judged: list[int] = field(default_factory=list)  # boxes


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    system: System
    parameters: int
    judged: int  # boxes of a picture, the median
    proposing_s: float | None  # None: nothing comes from outside
    network_s: float
    learnt: Learnt | None
    command: str  # what would train it; empty where that is done

    @property
    def whole_s(self) -> float:
        """Of a picture."""
        return self.network_s + (self.proposing_s or 0.0)


# ---- what a training left behind


def learnt(folder: Path, data_set: DataSet, anew: bool) -> Learnt:
    """The run's own scores, as its training wrote them for its best weights; other pictures are scored here."""
    stored = json.loads((folder / "scores.json").read_text())
    map50, map50_95 = stored["map50"], stored["map50_95"]
    if anew or stored["data"] != data_set.name:
        scores = score_detections(open_predictor(str(folder)), data_set)
        print(f"{folder}: mAP50 {scores.map50:.4f}, the training says {map50:.4f} on {stored['data']}", flush=True)
        map50, map50_95 = scores.map50, scores.map50_95
    pictures, seconds, still_s = learning(folder / "metrics.csv")
    return Learnt(pictures, seconds, still_s, map50, map50_95)


def learning(metrics: Path) -> tuple[int, float, float]:
    """Pictures seen, the seconds that took, and those in which it stood still."""
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    begun = 0.0
    learnt_s: list[float] = []
    scored_s: list[float] = []
    for row in rows:
        ended = float(row["seconds"])
        (learnt_s if row["pictures"] else scored_s).append(ended - begun)
        begun = ended
    usual = statistics.median(learnt_s)
    moved = [usual if each > _STOOD_STILL * usual else each for each in learnt_s]
    pictures = max(int(row["pictures"]) for row in rows if row["pictures"])
    return pictures, sum(moved) + sum(scored_s), sum(learnt_s) - sum(moved)


# ---- time


class Shown:
    """A picture of the data set as networks are shown it."""

    def __init__(self, data_set: DataSet, index: int, size: tuple[int, int]) -> None:
        width, height = size
        self._pixels = np.zeros((3, height, width), np.uint8)
        picture = Picture((np.ascontiguousarray(data_set.read(index).rgb),), "rgb24")
        self.placement = Letterbox(EngineInput(name="pixels", size=size)).write(picture, self._pixels)
        self.tensor = torch.from_numpy(self._pixels)[None].float() / 255

    def regions(self, proposer: Proposer, most: int) -> torch.Tensor:
        """Searched anew, f32 [1, R, 4]."""
        return torch.from_numpy(regions_on(self._pixels, self.placement, proposer, most))[None]


@torch.no_grad()
def measure(models: Sequence[AnyDetector], shown: Sequence[Shown]) -> list[Times]:
    """Every picture by every model in turn; the first picture once more before, unmeasured."""
    proposers = {each.proposals: open_proposer(each.proposals) for each in models if isinstance(each, RegionModel)}
    times = [Times() for _ in models]
    for number, picture in enumerate([shown[0], *shown]):
        searched: dict[tuple[str, int], tuple[torch.Tensor, float]] = {}
        for model, told in zip(models, times, strict=True):
            network_s, proposing_s, inputs = 0.0, 0.0, [picture.tensor]
            if isinstance(model, RegionModel):
                asked = model.proposals, model.regions
                if asked not in searched:
                    searched[asked] = timed(lambda: picture.regions(proposers[asked[0]], asked[1]))  # noqa: B023
                regions, proposing_s = searched[asked]
                inputs.append(regions)
            cut, network_s = timed(lambda: model(*inputs))  # noqa: B023
            if number == 0:
                continue
            told.network_s.append(network_s)
            told.judged.append(cut.xyxy.shape[1])
            if isinstance(model, RegionModel):
                told.proposing_s.append(proposing_s)
        if number:
            print(f"\r{number} of {len(shown)} pictures", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return times


def recall_line(model: RegionModel, data_set: DataSet, size: tuple[int, int]) -> str:
    """How many objects its regions overlap by half, over all pictures: more it cannot find."""
    proposer, found = open_proposer(model.proposals), []
    for index in range(len(data_set.entries)):
        shown = Shown(data_set, index, size)
        xyxy = shown.placement.to_frame(shown.regions(proposer, model.regions)[0].numpy())
        found.append(Proposals(xyxy, np.linspace(1, 0, len(xyxy), dtype=np.float32)))
    scores = score_proposals(data_set, model.proposals, found, limit=model.regions)
    classes = ", ".join(f"{name} {recall:.3f}" for name, (_, recall, _) in scores.per_class.items())
    return f"{model.proposals}: recall at 0.5 {scores.recall50:.3f} ({classes})"


def timed(act: Callable[[], Answer]) -> tuple[Answer, float]:
    """An answer, and the CPU seconds it took: others on the machine do not count."""
    begun = time.process_time()
    answer = act()
    return answer, time.process_time() - begun


def model_of(system: System, runs: Path, classes: int) -> tuple[AnyDetector, tuple[int, int]]:
    """The trained network, or where there is none a new one, and the size of its pictures."""
    folder = system.finished(runs)
    if folder is not None:
        trained = load_trained(folder)
        return trained.model, trained.size
    options = TrainOptions.model_validate(yaml.safe_load((RECIPES / f"{system.recipe}.yaml").read_text()))
    return build_model(options.model, classes).eval(), options.size


def row_of(system: System, times: Times, parameters: int, told: Learnt | None, command: str) -> Row:
    """Medians of what was measured."""
    return Row(
        system,
        parameters,
        round(statistics.median(times.judged)),
        statistics.median(times.proposing_s) if times.proposing_s else None,
        statistics.median(times.network_s),
        told,
        command,
    )


# ---- what is told


def table(rows: Sequence[Row]) -> str:
    """Markdown: one line per system; below it what would train those that are not."""
    lines = [
        "| | mAP50 | mAP50-95 | proposals | network | boxes judged | parameters | pictures seen | training |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        outside = "-" if row.proposing_s is None else _seconds(row.proposing_s)
        scores, seen = ("not trained", "-"), ("-", "-")
        if row.learnt is not None:
            scores = f"**{row.learnt.map50:.3f}**", f"{row.learnt.map50_95:.3f}"
            seen = f"{row.learnt.pictures:,}", f"{row.learnt.seconds / 60:.0f} min"
        cells = (f"{row.system.name}, {row.system.year}", *scores, outside, _seconds(row.network_s), f"{row.judged:,}")
        lines.append(f"| {' | '.join((*cells, f'{row.parameters / 1e6:.1f} M', *seen))} |")
    missing = [f"{row.system.name} is not trained: `{row.command}`" for row in rows if row.learnt is None]
    return "\n".join([*lines, *(["", *missing] if missing else []), ""])


def verdicts(rows: Sequence[Row], times: dict[str, Times]) -> list[str]:
    """Whether accuracy, order and ratio are what they have to be."""
    scored = [(row, row.learnt.map50) for row in rows if row.learnt is not None]
    said = [
        f"{row.system.name}: mAP50 {got:.3f}, at least {row.system.least:.2f}: {_met(got >= row.system.least)}"
        for row, got in scored
    ]
    named = {row.system.name: row for row in rows}
    if all(name in named for name in FASTER_AND_FASTER):
        whole = [named[name].whole_s for name in FASTER_AND_FASTER]
        falling = all(before > after for before, after in pairwise(whole))
        order = " > ".join(f"{name} {_seconds(value)}" for name, value in zip(FASTER_AND_FASTER, whole, strict=True))
        said.append(f"{order}: {_met(falling)}")
        slow, fast = times["R-CNN"], times["Fast R-CNN"]
        ratios = sorted(each / other for each, other in zip(slow.network_s, fast.network_s, strict=True))
        middle = statistics.median(ratios)
        same = "the same regions" if slow.judged == fast.judged else "other regions"
        said.append(f"R-CNN : Fast R-CNN, the networks, {same}: {middle:.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f}), "
                    f"at least {RATIO:g}: {_met(middle >= RATIO)}")  # fmt: skip
    return said


def _met(met: bool) -> str:
    return "met" if met else "NOT met"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def plot(rows: Sequence[Row], data: str, path: Path) -> None:
    """Accuracy over seconds per picture; a tail is what the search for regions takes, a dot grows with parameters."""
    drawn = [row for row in rows if row.learnt is not None]
    figure, axes = pyplot.subplots(figsize=(8, 4.6), dpi=150)
    for row in drawn:
        assert row.learnt is not None
        colour, height = TWO_STAGES if row.system.two_stages else ONE_STAGE, row.learnt.map50
        if row.proposing_s is not None:
            axes.plot([row.network_s, row.whole_s], [height, height], color=colour, lw=2, alpha=0.45, zorder=2)
            axes.plot(row.network_s, height, "|", color=colour, ms=9, mew=2, zorder=2)
        axes.scatter(row.whole_s, height, s=12 * row.parameters / 1e6 + 30, color=colour, edgecolor="white", zorder=3)
    for row in rows:
        if row.learnt is None:
            axes.axvline(
                row.whole_s, color=TWO_STAGES if row.system.two_stages else ONE_STAGE, ls=":", lw=1.2, zorder=1
            )
            axes.annotate(
                f"{row.system.name}, not trained yet", (row.whole_s, 0.03), xycoords=("data", "axes fraction"),
                xytext=(-4, 0), textcoords="offset points", ha="right", rotation=90, fontsize=8.5, color=INK,
            )  # fmt: skip
    _dress(axes, rows, data)
    figure.tight_layout()
    _name(axes, drawn)
    figure.savefig(path)
    pyplot.close(figure)


def _dress(axes: Axes, rows: Sequence[Row], data: str) -> None:
    axes.set_xscale("log")
    ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]
    axes.set_xticks(ticks, [_seconds(tick).replace(".00", "") for tick in ticks])
    axes.minorticks_off()
    whole = [row.whole_s for row in rows]
    scores = [row.learnt.map50 for row in rows if row.learnt is not None] or [0.5]
    axes.set_xlim(min(whole) / 1.6, max(whole) * 1.6)
    axes.set_ylim(min(scores) - 0.07, max(scores) + 0.03)
    axes.set_xlabel("time of a picture, one CPU thread", color=INK)
    axes.set_ylabel(f"mAP50, {data}", color=INK)
    for colour, label in ((TWO_STAGES, "regions first, then what is in them"), (ONE_STAGE, "one look")):
        axes.scatter([], [], color=colour, s=60, label=label)
    axes.legend(frameon=False, loc="lower left", fontsize=8.5, labelcolor=INK)
    axes.grid(color="#e6e6e6", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.tick_params(colors=INK, labelsize=8.5, length=0)


def _name(axes: Axes, drawn: Sequence[Row]) -> None:
    """Each dot's name beside it: at the first of four sides where nothing stands yet."""
    inside = axes.get_window_extent()
    points = [(row.whole_s, row.learnt.map50) for row in drawn if row.learnt is not None]
    middles = axes.transData.transform(np.array(points).reshape(-1, 2))
    taken = [Bbox.from_bounds(x - 16, y - 16, 32, 32) for x, y in middles]
    for number, (row, point) in enumerate(zip(drawn, points, strict=True)):
        others = taken[:number] + taken[number + 1 :]
        for x, y, across, down in SIDES:
            text = axes.annotate(
                f"{row.system.name}, {row.system.year}", point, (x, y), textcoords="offset points",
                ha=across, va=down, fontsize=8.5, color=INK,
            )  # fmt: skip
            place = text.get_window_extent()
            if (x, y) == SIDES[-1][:2] or (place.x1 <= inside.x1 and not place.count_overlaps(others)):
                taken.append(place)
                break
            text.remove()


# ---- the two verbs


def train_missing(wanted: Sequence[System], runs: Path) -> None:
    """One after the other, through the command line that users have."""
    for system in wanted:
        done = system.finished(runs)
        if done is not None:
            print(f"{system.name}: trained already, {done}")
            continue
        command = system.command(runs)
        print("streamdet", *command, flush=True)
        subprocess.run([sys.executable, "-m", "streamdet", *command], check=True)


def tell_table(runs: Path, out: Path, data: str, pictures: int, anew: bool) -> None:
    """Measure, print, and write table, figures and plot."""
    torch.set_num_threads(1)
    data_set = open_data_set(data)
    models, sizes = zip(*(model_of(system, runs, len(data_set.classes)) for system in SYSTEMS), strict=True)
    if len(set(sizes)) != 1:
        raise SystemExit(f"the systems do not look at pictures of one size: {sorted(set(sizes))}")
    chosen = np.unique(np.linspace(0, len(data_set.entries) - 1, pictures).astype(int))
    shown = [Shown(data_set, int(index), sizes[0]) for index in chosen]
    times = measure(models, shown)
    rows = []
    for system, model, taken in zip(SYSTEMS, models, times, strict=True):
        folder = system.finished(runs)
        told = learnt(folder, data_set, anew) if folder is not None else None
        command = "" if folder is not None else " ".join(["streamdet", *system.command(runs)])
        rows.append(row_of(system, taken, model.parameter_count(), told, command))
    said = verdicts(rows, dict(zip((system.name for system in SYSTEMS), times, strict=True)))
    regional = {model.proposals: model for model in models if isinstance(model, RegionModel)}
    said += [recall_line(model, data_set, sizes[0]) for model in regional.values()]
    whole = f"{data_set.name}, {sizes[0][0]} x {sizes[0][1]}; times: {len(shown)} pictures\n\n{table(rows)}\n"
    whole += "\n".join(f"- {line}" for line in said) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    (out / "lineage.md").write_text(whole)
    (out / "lineage.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    plot(rows, data_set.name, out / "lineage.png")
    print(whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=RUNS)
    verbs = parser.add_subparsers(dest="verb", required=True)
    train = verbs.add_parser("train")
    train.add_argument("names", nargs="*", metavar="NAME", help=", ".join(system.recipe for system in SYSTEMS))
    tell = verbs.add_parser("table")
    tell.add_argument("--out", type=Path, default=RUNS / "lineage")
    tell.add_argument("--data", default=DATA)
    tell.add_argument("--pictures", type=int, default=12, help="so many are timed, spread over the data set")
    tell.add_argument("--anew", action="store_true", help="score all again, where the trainings' own scores would do")
    asked = parser.parse_args()
    if asked.verb == "train":
        unknown = set(asked.names) - {system.recipe for system in SYSTEMS}
        if unknown:
            parser.error(f"no such system: {', '.join(sorted(unknown))}")
        train_missing([each for each in SYSTEMS if not asked.names or each.recipe in asked.names], asked.runs)
    else:
        tell_table(asked.runs, asked.out, asked.data, asked.pictures, asked.anew)


if __name__ == "__main__":
    main()
