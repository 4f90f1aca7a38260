"""`streamdet engine …`: the shelf, and what goes onto it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamdet.cli.build import build
from streamdet.cli.console import one_engine, say
from streamdet.cli.export import export
from streamdet.cli.quantize import quantize
from streamdet.errors import ConfigError, StreamdetError

if TYPE_CHECKING:
    from streamdet.graft.agreement import Agreement
    from streamdet.graft.check import CheckReport
    from streamdet.infer.shelf import Engine, Suite
    from streamdet.manifest import EngineManifest

engine_app = typer.Typer(no_args_is_help=True, help="The shelf of engines: look, check, measure, import, export.")

engine_app.command()(build)
engine_app.command()(quantize)
engine_app.command()(export)

EngineName = Annotated[str, typer.Argument(metavar="NAME|DIR", help="An engine on the shelf, or its folder.")]
Pictures = Annotated[Path | None, typer.Option(help="A folder of pictures that hold what the engine finds.")]

_VERDICTS = {
    "agrees": "[green]agrees[/]",
    "differs": "[red]differs[/]",
    "fails": "[red]fails[/]",
    "unproven": "[yellow]unproven[/]",
    "not here": "[dim]not here[/]",
}


@engine_app.command("list")
def list_engines() -> None:
    """Show every engine on the shelf: ./engines, $STREAMDET_ENGINES, the package's own."""
    from rich.markup import escape
    from rich.table import Table

    from streamdet.infer.shelf import Shelf, Suite, open_engine

    table = Table("engine", "kind", "input", "classes", "files", "folder", box=None, padding=(0, 2, 0, 0))
    shelf = Shelf()
    for folder in shelf.list_engines():
        try:
            found = open_engine(folder)
        except StreamdetError as error:
            table.add_row(folder.name, "[red]broken[/]", escape(error.what), "", "", str(folder))
            continue
        if isinstance(found, Suite):
            table.add_row(found.manifest.name, "suite", " then ".join(found.manifest.steps), "", "", str(folder))
            continue
        manifest = found.manifest
        files = ", ".join(file.precision for file in manifest.files)
        table.add_row(
            manifest.name, manifest.kind, _size(manifest), str(len(manifest.classes) or ""), files, str(folder)
        )
    if table.row_count:
        say(table)
    else:
        say("the shelf is empty: [bold]streamdet engine import MODEL.onnx --name NAME[/]")


@engine_app.command()
def show(name: EngineName) -> None:
    """Show one engine's card: what it takes and finds, where it comes from, what can run it here."""
    from rich.markup import escape
    from rich.panel import Panel
    from rich.table import Table

    from streamdet.infer.shelf import Engine, Shelf

    found = Shelf().open(name)
    card = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    card.add_column(no_wrap=True)
    card.add_column(overflow="fold")
    for key, value in _facts(found) if isinstance(found, Engine) else _suite_facts(found):
        card.add_row(f"[dim]{escape(key)}[/]", value)
    say(Panel(card, title=escape(found.manifest.name), title_align="left", subtitle=escape(str(found.folder))))


@engine_app.command()
def check(
    name: EngineName,
    pictures: Pictures = None,
    mark: Annotated[bool, typer.Option("--mark", help="Write into the manifest which runtimes agreed.")] = False,
) -> None:
    """Hold every runtime that works here against the engine's own numpy reference; exit code 1 where one differs."""
    from streamdet.graft.check import check_engine, mark_proven

    engine = one_engine(name)
    report = check_engine(engine, pictures)
    _print_report(report)
    if mark:
        manifest = mark_proven(engine, report)
        for file in manifest.files:
            say(f"{file.path}: proven on {', '.join(file.proven_on) or 'nothing'}")
    if not report.passed:
        raise typer.Exit(1)


@engine_app.command()
def suite(
    name: Annotated[str, typer.Argument(help="What the suite is called on the shelf.")],
    detect: Annotated[str, typer.Option(help="The engine that finds.")],
    read: Annotated[str | None, typer.Option(help="The engine that reads what was found.")] = None,
    shelf: Annotated[Path, typer.Option(help="The shelf of all of them.")] = Path("engines"),
    force: Annotated[bool, typer.Option("--force", help="Replace a suite of that name.")] = False,
) -> None:
    """Make several engines one, which every verb takes by its name."""
    from streamdet.graft.shelving import put_suite_on_shelf

    say(str(put_suite_on_shelf(shelf, name, detect=detect, read=read, replace=force)))


@engine_app.command()
def bench(
    name: EngineName,
    backend: Annotated[list[str] | None, typer.Option(help="Only these runtimes. May be repeated.")] = None,
    precision: Annotated[str | None, typer.Option(help="The precision, where the engine has several.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each figure is measured.")] = 2.0,
) -> None:
    """Measure latency and throughput per runtime, threads and batch, with the network's own limit beside them."""
    from rich.markup import escape
    from rich.table import Table

    from streamdet.infer.bench import bench_engine

    wanted = [(one, precision) for one in backend] if backend else None
    columns = ("runtime", "precision", "sessions", "threads", "batch", "ms", "fps", "network ms", "network fps")
    table = Table(*columns, box=None, padding=(0, 1, 0, 0))
    missing = []
    for row in bench_engine(one_engine(name), wanted, budget_s=seconds):
        if row.why_not:
            missing.append(f"not here {row.backend} {row.precision}: {escape(row.why_not)}")
            continue
        load = [str(number) for number in (row.load.workers, row.load.threads, row.load.batch)]
        figures = [row.latency_ms, row.frames_per_s, row.network_ms, row.network_frames_per_s]
        table.add_row(row.backend, row.precision, *load, *(f"{figure:.1f}" for figure in figures))
    say(table)
    for line in missing:
        say(line)


@engine_app.command("import")
def import_(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="Somebody else's network.")],
    name: Annotated[str, typer.Option(help="What the engine is called on the shelf.")],
    family: Annotated[str | None, typer.Option(help="The form of its outputs, where they do not tell.")] = None,
    classes: Annotated[Path | None, typer.Option(help="A file with the names of its classes, one per line.")] = None,
    size: Annotated[str | None, typer.Option(help="Input size where the network takes any: 640 or 640x384.")] = None,
    pixels: Annotated[str | None, typer.Option(help="What it was trained on: 0..255, 0..1, -1..1, imagenet.")] = None,
    colour: Annotated[str | None, typer.Option(help="rgb or bgr, where it is not the family's usual order.")] = None,
    conf: Annotated[float, typer.Option(min=0, max=1, help="The score threshold where a run names none.")] = 0.25,
    iou: Annotated[float, typer.Option(min=0.01, max=1, help="Overlap above which the worse box goes.")] = 0.45,
    max_detections: Annotated[int, typer.Option(min=1, help="Detections per picture.")] = 300,
    candidates: Annotated[
        int, typer.Option(min=1, max=3839, help="Candidates that are compared; 1000 for crowds.")
    ] = 512,
    pictures: Pictures = None,
    licence: Annotated[str, typer.Option(help="The model's licence, for its card.")] = "",
    shelf: Annotated[Path, typer.Option(help="The folder of engines that it is put into.")] = Path("engines"),
    force: Annotated[bool, typer.Option("--force", help="Replace an engine of that name.")] = False,
) -> None:
    """Make an engine of somebody else's ONNX file, prove that it finds the same, and put it on the shelf."""
    from rich.markup import escape

    from streamdet.graft.importer import import_model

    if colour not in (None, "rgb", "bgr"):
        raise ConfigError("unknown colour order", expected="rgb or bgr", got=colour)
    done = import_model(
        model,
        name,
        shelf=shelf,
        family=family,
        classes=classes,
        size=_parsed_size(size),
        pixels=pixels,
        colour=colour,  # type: ignore[arg-type]
        confidence=conf,
        iou=iou,
        max_detections=max_detections,
        candidates=candidates,
        pictures=pictures,
        licence=licence,
        replace_existing=force,
    )
    manifest = done.manifest
    say(f"[green]{manifest.name}[/]: {manifest.family}, {_size(manifest)}, {len(manifest.classes)} classes")
    say(f"proof: {done.proof}")
    for remark in done.remarks:
        say(f"[yellow]note[/]: {escape(remark)}")
    say(f"{escape(str(done.folder))}\nnext: streamdet engine check {manifest.name}")


# ---- pieces


def _parsed_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError("not a size", expected="640 or 640x384 (width x height)", got=text)
    return int(parts[0]), int(parts[-1])


def _size(manifest: EngineManifest) -> str:
    width, height = manifest.input.size
    return f"{width}x{height}"


def _suite_facts(suite: Suite) -> Iterator[tuple[str, str]]:
    from rich.markup import escape

    detect = suite.manifest.detect
    yield "kind", "suite"
    if isinstance(detect, str):
        yield "detect", detect
    else:
        yield "detect", f"{detect.family}, {', '.join(file.path for file in detect.files)}"
        yield "classes", escape(", ".join(detect.classes))
        yield "score", f"{detect.score}"
    yield "read", suite.manifest.read or "-"


def _facts(engine: Engine) -> Iterator[tuple[str, str]]:
    """Rows of the card, as rich markup."""
    from rich.markup import escape

    manifest = engine.manifest
    seen, nms = manifest.input, manifest.nms
    smallest, largest = seen.batch
    yield "kind", f"{manifest.kind}, family {manifest.family}"
    yield "input", f"{_size(manifest)} {seen.colour}, {seen.fit.mode}, {seen.fit.anchor}, pad {seen.fit.pad}"
    yield "batch", f"{smallest}, fixed" if smallest == largest else f"{smallest} to {largest}"
    if manifest.classes:
        shown = ", ".join(manifest.classes[:12])
        yield "classes", escape(f"{len(manifest.classes)}: {shown}{' …' * (len(manifest.classes) > 12)}")
    if manifest.keypoints or "keypoints" in manifest.outputs:
        yield "keypoints", escape(", ".join(manifest.keypoints)) or "yes"
    if manifest.alphabet:
        yield "alphabet", escape(manifest.alphabet)
    yield "score", f"{manifest.score} unless told otherwise"
    if nms is not None:
        kept = "no duplicates to begin with" if nms.end_to_end else f"IoU {nms.iou}"
        yield "suppression", f"{kept}, {nms.candidates} candidates, at most {nms.max_detections} detections"
    for file in manifest.files:
        yield "file", f"{file.path}, {file.precision}, {_weight(engine.folder / file.path)}, {file.sha256[:12]}"
        yield "proven on", ", ".join(file.proven_on) or f"nothing yet: streamdet engine check {manifest.name} --mark"
    told = manifest.provenance
    yield from ((key, escape(str(value))) for key, value in told.model_dump(exclude={"scores"}).items() if value)
    yield from ((key, f"{value:.4g}") for key, value in told.scores.items())
    yield from _runtimes()


def _runtimes() -> Iterator[tuple[str, str]]:
    from rich.markup import escape

    from streamdet.infer.backends import available

    for place in available():
        yield place.name, "[green]can run it here[/]" if place.usable else f"[dim]{escape(place.why_not or '')}[/]"


def _weight(path: Path) -> str:
    try:
        return f"{path.stat().st_size / 1e6:.1f} MB"
    except OSError:
        return "[red]missing[/]"


def _print_report(report: CheckReport) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0))
    for column in ("runtime", "tail", "", "compared", "edge", "missing", "extra", "px", "score"):
        table.add_column(column, no_wrap=True)
    for row in report.rows:
        if row.agreement is not None:
            table.add_row(f"{row.runtime} {row.precision}", row.tail, _VERDICTS[row.verdict], *_figures(row.agreement))
    say(f"{report.pictures} pictures")
    say(table)
    for row in report.rows:
        if row.why:
            say(f"{_VERDICTS[row.verdict]} {row.runtime} {row.precision}: {escape(row.why)}")
    for path, findings in report.findings.items():
        say(f"TensorRT lint of {escape(path)}: {len(findings) or 'no'} findings (read off the graph, not run there)")
        for finding in findings:
            say(f"  {escape(str(finding))}")


def _figures(found: Agreement) -> list[str]:
    counts = (found.compared, found.left_out, found.missing, found.surplus)
    return [*(str(count) for count in counts), f"{found.worst_px:.3g}", f"{found.worst_score:.2g}"]
