"""`streamdet engine export`: a training's best weights become an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamdet.cli import logs
from streamdet.cli.console import say
from streamdet.cli.quantize import print_verdicts
from streamdet.errors import ConfigError, DataError, StreamdetError
from streamdet.manifest import Precision

if TYPE_CHECKING:
    from streamdet.evaluation.answers import Progress
    from streamdet.export.run import RunData, Shelved
    from streamdet.graft.reader_check import RuntimeRow

_MORE: dict[str, tuple[Precision, ...]] = {
    "fp32": (),
    "fp16": ("fp16",),
    "int8": ("int8-sym", "int8-u8"),
    "int8-sym": ("int8-sym",),
    "int8-u8": ("int8-u8",),
    "all": ("fp16", "int8-sym", "int8-u8"),
}


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a training, or its best.pt.")],
    name: Annotated[str, typer.Option(help="What the engine is called on the shelf.")],
    precision: Annotated[
        str,
        typer.Option(
            help="Files beside the fp32 one, parted by commas: fp16, int8-sym (TensorRT), int8-u8 (CPUs), all."
        ),
    ] = "fp32",
    data: Annotated[
        str | None, typer.Option(help="Pictures for the ranges of int8: PATH:SPLIT. The run's own, if not named.")
    ] = None,
    score_on: Annotated[
        str | None, typer.Option(help="Labelled pictures that decide: PATH:SPLIT. The run's test or valid ones.")
    ] = None,
    most_loss: Annotated[float, typer.Option(min=0, help="Points of mAP50-95 that a precision may cost.")] = 1.0,
    score: Annotated[
        float | None, typer.Option(min=0, max=1, help="The engine's threshold; where F1 is best, if not named.")
    ] = None,
    licence: Annotated[str, typer.Option(help="The engine's licence, for its card.")] = "",
    shelf: Annotated[Path, typer.Option(help="The folder of engines that it is put into.")] = Path("engines"),
    force: Annotated[bool, typer.Option("--force", help="Replace an engine of that name.")] = False,
) -> None:
    """Make an engine of a training's best weights, prove that it finds the same, and put it on the shelf.

    Exit code 1 where a precision that was asked for is not written, because it would cost too much.
    """
    from streamdet.export.regions import is_region_run
    from streamdet.models.classic.saved import MODEL
    from streamdet.models.reader_weights import is_reader
    from streamdet.models.segmentation.catalogue import is_segmenter
    from streamdet.models.weights import WEIGHTS

    if not any((run / file).exists() for file in (WEIGHTS, MODEL)) and not run.is_file():
        raise DataError(
            "there are no weights",
            where=run,
            expected=f"the folder of a training, or its {WEIGHTS}",
            hint="a training writes them when it is first scored, after a tenth of its steps",
        )
    shelving = _Shelving(run, name, precision, shelf, licence, force)
    with logs.told("export"):
        if (run / MODEL).exists():
            _export_classic(shelving, score)
        elif is_reader(run):
            _export_reader(shelving)
        elif is_segmenter(run):
            _export_segmenter(shelving, data or score_on)
        elif is_region_run(run):
            _export_regions(shelving, _labelled(run, data, score_on), score)
        else:
            _export_detector(shelving, _labelled(run, data, score_on), score, most_loss)


@dataclass(frozen=True)
class _Shelving:
    """What is asked for, whatever was trained."""

    run: Path
    name: str
    precision: str
    shelf: Path
    licence: str
    force: bool

    def single(self, what: str) -> None:
        """Refuse another precision than the one that there is."""
        if self.precision != "fp32":
            raise ConfigError(what, expected="--precision fp32", got=self.precision)


def _export_detector(asked: _Shelving, data: RunData, score: float | None, most_loss: float) -> None:
    from rich.markup import escape

    from streamdet.errors import ModelRefused
    from streamdet.export.run import export_run

    done = export_run(
        asked.run,
        asked.name,
        shelf=asked.shelf,
        precisions=_files(asked.precision),
        data=data,
        score=score,
        most_points=most_loss,
        licence=asked.licence,
        replace_existing=asked.force,
        progress=_told,
    )
    _print(done)
    refused = False
    for file, outcome in done.files.items():
        if isinstance(outcome, ModelRefused):
            refused = True
            say(f"[yellow]not written[/]: {escape(outcome.line)}")
        else:
            print_verdicts(outcome, file)
    say(f"{escape(str(done.engine.folder))}\nnext: streamdet engine check {escape(asked.name)}")
    if refused:
        raise typer.Exit(1)


def _export_classic(asked: _Shelving, score: float | None) -> None:
    from rich.markup import escape

    from streamdet.export.classic import export_classic

    asked.single("what is no network has one precision")
    suite = export_classic(
        asked.run, asked.name, shelf=asked.shelf, score=score, licence=asked.licence, replace_existing=asked.force
    )
    say(f"[green]{asked.name}[/]: {' then '.join(suite.manifest.steps)}, runs without torch")
    say(f"{escape(str(suite.folder))}\nnext: streamdet run --engine {escape(asked.name)} --source …")


def _export_regions(asked: _Shelving, data: RunData, score: float | None) -> None:
    from rich.markup import escape

    from streamdet.export.regions import export_region_run

    asked.single("a network of regions is exported in single precision")
    done = export_region_run(
        asked.run,
        asked.name,
        shelf=asked.shelf,
        score_on=data.score_on,
        score=score,
        licence=asked.licence,
        replace_existing=asked.force,
    )
    say(f"[green]{asked.name}[/]: regions, then a network; onnx-cpu against torch: {done.parity}")
    if done.scores is not None:
        say(f"{escape(done.scores.data)}: mAP50 {done.scores.map50:.4f}, mAP50-95 {done.scores.map50_95:.4f}")
    say(f"{escape(str(done.suite.folder))}\nnext: streamdet run --engine {escape(asked.name)} --source …")


def _export_reader(asked: _Shelving) -> None:
    from streamdet.export.reader import export_reader

    asked.single("a reader is exported in single precision")
    done = export_reader(asked.run, asked.name, shelf=asked.shelf, licence=asked.licence, replace_existing=asked.force)
    say(f"[green]{asked.name}[/]: plate reader, off by at most {done.torch_apart:.2g} from torch in any probability")
    _print_rows(asked, done.rows, done.engine.folder)


def _export_segmenter(asked: _Shelving, data: str | None) -> None:
    from streamdet.datasets.catalogue import open_data_set
    from streamdet.export.segmenter import export_segmenter

    asked.single("a segmenter is exported in single precision")
    pictures = None if data is None else open_data_set(data)
    done = export_segmenter(
        asked.run,
        asked.name,
        shelf=asked.shelf,
        pictures=pictures,
        licence=asked.licence,
        replace_existing=asked.force,
    )
    say(f"[green]{asked.name}[/]: segmenter, labels {100 * done.torch_alike:.3f} % of the pixels as torch does")
    _print_rows(asked, done.rows, done.engine.folder)


def _print_rows(asked: _Shelving, rows: Sequence[RuntimeRow], folder: Path) -> None:
    from rich.markup import escape

    for row in rows:
        if row.verdict != "not here":
            say(f"{row.runtime} {row.precision}: {row.verdict}; {escape(row.why)}")
    say(f"{escape(str(folder))}\nnext: streamdet engine check {escape(asked.name)}")


def _files(told: str) -> tuple[Precision, ...]:
    """What is to be made besides fp32."""
    words = told.split(",")
    unknown = [word for word in words if word not in _MORE]
    if unknown:
        raise ConfigError("there is no such precision", expected=", ".join(_MORE), got=unknown[0])
    return tuple(dict.fromkeys(file for word in words for file in _MORE[word]))


def _labelled(run: Path, data: str | None, score_on: str | None) -> RunData:
    """The run's own pictures, but for what is named."""
    from dataclasses import replace

    from streamdet.datasets.catalogue import open_data_set
    from streamdet.export.run import RunData

    own = RunData()
    if data is None or score_on is None:
        try:
            own = _own_pictures(run if run.is_dir() else run.parent)
        except StreamdetError as error:
            say(f"[yellow]note[/]: the run's own pictures cannot be used: {error.what}")
    if data is not None:
        own = replace(own, calibrate_on=open_data_set(data))
    if score_on is not None:
        own = replace(own, score_on=open_data_set(score_on))
    if own.score_on is None:
        say("[yellow]note[/]: no labelled pictures to score on: nothing is measured; try --score-on")
    return own


def _own_pictures(folder: Path) -> RunData:
    """What the run's configuration names."""
    from streamdet.config.strict_yaml import load
    from streamdet.config.validation import validated
    from streamdet.export.run import RunData
    from streamdet.training.labelled import open_all
    from streamdet.training.options import TrainOptions
    from streamdet.training.run_folder import RunFolder

    document = load(RunFolder(folder).config)
    found = open_all(validated(TrainOptions, document.values, document).data)
    return RunData(found.train, found.test or found.valid)


def _told(what: str) -> Progress | None:
    """A line per scoring: each takes seconds to minutes."""
    logs.say(f"scoring {what} …")
    return None


def _print(done: Shelved) -> None:
    from rich.markup import escape

    manifest = done.engine.manifest
    width, height = manifest.input.size
    say(
        f"[green]{manifest.name}[/]: {manifest.family}, {width}x{height}, classes {escape(', '.join(manifest.classes))}"
    )
    for runtime, outcome in done.exported.parity.items():
        say(f"{runtime} against torch: {outcome}")
    if done.torch is not None and done.scores is not None:
        say(
            f"mAP50-95 on {escape(done.scores.data)}: torch {done.torch.map50_95:.4f}, engine "
            f"{done.scores.map50_95:.4f}; mAP50 {done.scores.map50:.4f}; threshold {manifest.score}"
        )
    for finding in done.exported.findings:
        say(f"TensorRT lint: {escape(str(finding))}")
