"""`streamdet train`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamdet.cli import logs
from streamdet.cli.run import LogFormat, Signals, Verbose
from streamdet.errors import ConfigError, MissingExtra, StreamdetError

if TYPE_CHECKING:
    from streamdet.config.strict_yaml import Document
    from streamdet.training.classic import ClassicTrainOptions
    from streamdet.training.course import Outcome
    from streamdet.training.options import LearningOptions
    from streamdet.training.run_folder import RunFolder

    Options = LearningOptions | ClassicTrainOptions

_RUNS = Path("runs")
_READER = "plate_reader"
_SEGMENTERS = ("u_net", "fcn")
_CLASSIC = ("hog_windows", "deformable_parts")


def train(
    config: Annotated[
        Path | None, typer.Argument(help="A YAML file; flags come on top of it.", show_default=False)
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Labelled pictures (COCO, VOC, YOLO): a folder, or PATH:SPLIT.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="yolo-pico, yolo-n, yolo-s, retinanet-18, faster-rcnn-18, ssd-18 or yolo-v1.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=32,
            help="Side of the input in pixels, a multiple of 32; 640 if not named. 320 takes a quarter of the time.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; a new one under runs/ where not given.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this run's folder, exactly where it was.", show_default=False)
    ] = None,
    max_pictures: Annotated[
        int | None, typer.Option(min=1, help="See so many pictures, repeats counted; the schedule fits itself to it.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed, the same result.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Learn from what is sound, and list what is left out.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No bar and no lines but warnings.")] = False,
    verbose: Verbose = 0,
    log_format: LogFormat = "text",
) -> None:
    """Train a detector from labelled pictures, without pretrained weights.

    With no CONFIG, flags and defaults are enough:

        streamdet train --data pictures/ --model yolo-n --out runs/mine

    Ctrl-C finishes the step and saves; --resume goes on from there as if nothing had happened. On several GPUs:

        torchrun --nproc-per-node 4 -m streamdet train CONFIG --out RUN
    """
    logs.configure(verbose, log_format)
    _need_torch()
    from streamdet.training.run_folder import RunFolder

    flags = {"data": data, "model": model, "size": size, "max_pictures": max_pictures, "seed": seed, "device": device}
    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    if skip_bad:
        given["skip_bad"] = True
    if resume is not None:
        if config is not None or given or out is not None:
            raise ConfigError(
                "a resumed training keeps its own options",
                got=" ".join([*([str(config)] if config else []), *(f"--{name}" for name in given)]),
                expected=f"streamdet train --resume {resume}",
                hint="options are changed by a new run: another --out",
            )
        folder = RunFolder(resume)
        options = _options_of(folder)
    else:
        options = _read(config, given)
        folder = RunFolder(out or _free_folder(config, options))
        _begin(folder, options)
    raise typer.Exit(_train(options, folder, quiet=quiet) if resume else _first_try(options, folder, quiet=quiet))


def _need_torch() -> None:
    try:
        import torch  # noqa: F401 # asked for once, so that the message is ours
    except ModuleNotFoundError as error:
        raise MissingExtra("torch", "train", "training") from error


def _read(config: Path | None, flags: dict[str, Any]) -> Options:
    """A file's options with the flags on top; without a file, defaults that suit the model."""
    from streamdet.config.strict_yaml import Document, load
    from streamdet.config.validation import validated
    from streamdet.training.flags import with_flags
    from streamdet.training.options import TrainOptions

    if config is not None and config.is_dir():
        raise ConfigError("a folder is no CONFIG", where=config, hint=f"streamdet train --data {config}")
    document = load(config) if config is not None else Document(Path("the flags"), {}, {}, [])
    family = _family(document.values)
    if family == _READER:
        return _read_reader(document, flags)
    if family in _CLASSIC:
        return _read_classic(document, flags)
    if family in _SEGMENTERS:
        return _read_segmenter(document, flags)
    if config is None and "data" not in flags:
        raise ConfigError(
            "there is nothing to learn from",
            expected="a CONFIG, or --data",
            hint="streamdet train --data pictures/ --model yolo-n --out runs/mine",
        )
    if not isinstance(document.values, dict):
        raise ConfigError("the file must hold keys and values", where=config, got=type(document.values).__name__)
    return validated(TrainOptions, with_flags(document.values, flags), document)


def _options_of(folder: RunFolder) -> Options:
    """Those that a run was begun with, by this version or one before it."""
    from dataclasses import replace

    from streamdet.config.strict_yaml import load
    from streamdet.training.reading import as_it_is_now

    if not folder.config.exists():
        raise ConfigError(
            "there is no training to resume", where=folder.path, expected="a run's folder, with its config.yaml"
        )
    document = load(folder.config)
    if _family(document.values) == _READER:
        return _read_reader(replace(document, values=as_it_is_now(document.values)), {})
    return _read(folder.config, {})


def _family(values: Any) -> str | None:
    model = values.get("model") if isinstance(values, dict) else None
    return model.get("family") if isinstance(model, dict) else None


def _read_reader(document: Document, flags: dict[str, Any]) -> LearningOptions:
    """A plate reader's options; it draws what it learns from, and takes few flags."""
    from streamdet.config.validation import validated
    from streamdet.training.flags import for_reader
    from streamdet.training.reading import ReaderTrainOptions

    return validated(ReaderTrainOptions, for_reader(document.values, flags), document)


def _read_classic(document: Document, flags: dict[str, Any]) -> ClassicTrainOptions:
    """The options of a detector from before networks, which takes few flags."""
    from streamdet.config.validation import validated
    from streamdet.training.classic import ClassicTrainOptions
    from streamdet.training.flags import for_classic

    return validated(ClassicTrainOptions, for_classic(document.values, flags), document)


def _read_segmenter(document: Document, flags: dict[str, Any]) -> LearningOptions:
    """A segmenter's options; its flags are those of a detector, but that its model is in the file."""
    from streamdet.config.validation import validated
    from streamdet.training.flags import with_flags
    from streamdet.training.segmenting import SegmenterTrainOptions

    if "model" in flags:
        raise ConfigError("the file names a segmenter already", where=document.path, got=f"--model {flags['model']}")
    return validated(SegmenterTrainOptions, with_flags(document.values, flags), document)


def _free_folder(config: Path | None, options: Options) -> Path:
    """runs/NAME, or runs/NAME-2 and so on."""
    from streamdet.training.options import TrainOptions

    if config is not None:
        name = config.stem
    else:
        assert isinstance(options, TrainOptions)  # without a file, it is a detector
        name = f"{options.data.train.path.resolve().name}-{options.model.family}"
    folder, number = _RUNS / name, 1
    while folder.exists():
        number += 1
        folder = _RUNS / f"{name}-{number}"
    return folder


def _begin(folder: RunFolder, options: Options) -> None:
    if _writes():
        folder.begin(options.model_dump(mode="json", exclude_none=True))


def _writes() -> bool:
    """Of several processes, one."""
    import os

    return os.environ.get("RANK", "0") == "0"


def _first_try(options: Options, folder: RunFolder, *, quiet: bool) -> int:
    """One that is refused before it learns anything leaves no folder behind."""
    try:
        return _train(options, folder, quiet=quiet)
    except StreamdetError:
        if _writes():
            folder.leave()
        raise


def _train(options: Options, folder: RunFolder, *, quiet: bool) -> int:
    from streamdet.training.classic import ClassicTrainOptions, run_classic_training
    from streamdet.training.options import TrainOptions
    from streamdet.training.reading import ReaderTrainOptions, run_reader_training
    from streamdet.training.reporting import Reporter
    from streamdet.training.running import run_training
    from streamdet.training.segmenting import SegmenterTrainOptions, run_segmenter_training

    with Signals() as signals:
        asked = []
        signals.drain(lambda: asked.append(True))
        with Reporter(folder.log, quiet=quiet) as reporter:
            told: dict[str, Any] = {"command": _command(), "stop": lambda: bool(asked)}
            outcome: Outcome[Any]
            if isinstance(options, ClassicTrainOptions):
                outcome = run_classic_training(options, folder, reporter, **told)
            elif isinstance(options, SegmenterTrainOptions):
                outcome = run_segmenter_training(options, folder, reporter, **told)
            elif isinstance(options, ReaderTrainOptions):
                outcome = run_reader_training(options, folder, reporter, **told)
            else:
                assert isinstance(options, TrainOptions)
                outcome = run_training(options, folder, reporter, **told)
    _say_how_it_ended(outcome)
    return 130 if signals.interrupted else 0


def _command() -> str:
    return shlex.join(["streamdet", *sys.argv[1:]])


def _say_how_it_ended(outcome: Outcome[Any]) -> None:
    if outcome.stopped:
        logs.say(f"saved at step {outcome.progress.step}; go on with: streamdet train --resume {outcome.folder}")
    elif outcome.scores is not None:
        logs.say(outcome.headline)
        logs.say(f"{outcome.folder / 'CARD.md'} tells all of it")
        logs.say(f"make an engine of it: streamdet engine export {outcome.folder} --name NAME")
