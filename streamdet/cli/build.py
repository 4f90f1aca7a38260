"""`streamdet engine build`: an engine's plan for TensorRT and this GPU, with a progress bar."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from streamdet.cli.console import one_engine, say
from streamdet.manifest import Precision

PrecisionName = Literal["fp32", "fp16", "int8"]


def build(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR", help="An engine on the shelf, or its folder.")],
    precision: Annotated[
        PrecisionName | None, typer.Option(help="Which of the engine's files; the first one if not named.")
    ] = None,
    batch: Annotated[
        tuple[int, int, int] | None,
        typer.Option(
            metavar="MIN OPT MAX", help="Batches that it takes, tuned for OPT; the engine's own if not named."
        ),
    ] = None,
    workspace: Annotated[int | None, typer.Option(min=1, metavar="MIB", help="Memory that a layer may use.")] = None,
    level: Annotated[int, typer.Option(min=0, max=5, help="How long it searches: 0 seconds to 5 an hour.")] = 3,
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="Also for later TensorRT, a little slower.")
    ] = False,
    all_gpus: Annotated[bool, typer.Option("--all-gpus", help="For every GPU since Ampere, somewhat slower.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Build it even where a plan that fits is there.")] = False,
) -> None:
    """Build an engine's plan for TensorRT on this GPU; a run without one builds it at its start."""
    from rich.markup import escape

    from streamdet.infer.tensorrt_build import build_plan, find_or_build, probe
    from streamdet.infer.tensorrt_plan import BuildOptions

    engine = one_engine(name)
    options = BuildOptions(
        precision=file_precision(precision),
        batch=batch,
        workspace_mib=workspace,
        level=level,
        version_compatible=version_compatible,
        all_gpus=all_gpus,
    )
    _, here = probe()
    say(f"{escape(engine.manifest.name)} for {escape(str(here))}")
    with _Bar() as bar:
        if force:
            stored, is_new = build_plan(engine, options, here, bar.watch, anew=True), True
        else:
            stored, is_new = find_or_build(engine, options, here, bar.watch)
    card = stored.card
    took = f"built in {card.took_s:.0f} s" if is_new else "a plan that fits is there already; --force builds it anew"
    say(f"[green]{escape(stored.path.name)}[/]: {stored.path.stat().st_size / 1e6:.1f} MB, {took}")
    say(f"{escape(str(stored.path.parent))}\nnext: streamdet engine check {escape(engine.manifest.name)} --mark")


def file_precision(name: PrecisionName | None) -> Precision | None:
    """On a GPU int8 is the symmetric kind."""
    return "int8-sym" if name == "int8" else name


class _Bar:
    """A progress bar with the time left; TensorRT reports to it from threads of its own."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            transient=True,
        )
        self._task = self._progress.add_task("building", total=1.0)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def watch(self, phase: str, fraction: float) -> None:
        """A build's watcher."""
        self._progress.update(self._task, completed=fraction, description=phase[:40])
