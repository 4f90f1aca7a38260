"""`streamdet data …`: look at labelled pictures, question them, make some."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streamdet.datasets.doctor.report import Report
    from streamdet.datasets.samples import DataSet, Rgb

data_app = typer.Typer(no_args_is_help=True)

_DATA = "Folder, label file or data set, such as bccd, bccd:train, plates/train.json."
_LEVEL_STYLE = {"error": "bold red", "warning": "yellow", "info": "blue"}
_CASES_SHOWN = 3


@data_app.callback()
def _labelled() -> None:
    """Labelled pictures: what is wrong with them, how they look, rendered ones."""


@data_app.command()
def doctor(
    data: Annotated[list[str], typer.Argument(help=_DATA + " A folder means all its splits.")],
    page: Annotated[Path | None, typer.Option("--html", help="Write the report with pictures to this file.")] = None,
    size: Annotated[int, typer.Option(min=32, help="Training size that small objects are judged at.")] = 640,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Some fifty checks before training: unreadable pictures, bad boxes, doubled objects, leakage, rare classes."""
    from streamdet.datasets.doctor.examine import examine

    reports = []
    for data_sets in _together(data):
        with _progress("looking at pictures", quiet=as_json) as tell:
            reports.append(examine(data_sets, size=(size, size), progress=tell))
        if not as_json:
            _print_report(reports[-1])
    if as_json:
        whole = {"schema": "streamdet.data_report/1", "reports": [report.as_json() for report in reports]}
        typer.echo(json.dumps(whole, ensure_ascii=False, indent=2))
    if page is not None:
        _write_page(reports, page)
        if not as_json:
            typer.echo(f"\nwith pictures: {page}")
    if any(report.errors for report in reports):
        raise typer.Exit(1)


def _together(data: list[str]) -> list[list[DataSet]]:
    """Data sets that belong together: the splits of a folder, and others with the same classes."""
    from streamdet.datasets.catalogue import data_sets_below, open_data_set

    groups: list[list[DataSet]] = []
    folders: list[list[DataSet]] = [
        [open_data_set(spec) for spec in specs] for text in data for specs in data_sets_below(text)
    ]
    for found in folders:
        alike = next((group for group in groups if group[0].classes == found[0].classes), None)
        if alike is None:
            groups.append(found)
        else:
            alike.extend(found)
    return groups


def _print_report(report: Report) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    for each in report.data_sets:
        count = sum(len(entry.objects) for entry in each.entries)
        console.print(f"[bold]{escape(each.name)}[/]  {len(each.entries)} pictures, {count} objects", soft_wrap=True)
    for finding in report.findings:
        style = _LEVEL_STYLE[finding.level]
        console.print(f"\n[{style}]{finding.level:8}[/] [bold]{escape(finding.title)}[/]: {finding.count}")
        console.print(f"         {escape(finding.explanation)}", style="dim", soft_wrap=True)
        for case in finding.examples(_CASES_SHOWN):
            console.print(f"         · {escape(case.place)}  {escape(case.note)}".rstrip(), soft_wrap=True)
        if finding.count > _CASES_SHOWN:
            console.print(f"         · … {finding.count} in all", style="dim")
        console.print(f"         → {escape(finding.remedy)}", soft_wrap=True)
    counts = {level: sum(each.level == level for each in report.findings) for level in _LEVEL_STYLE}
    verdict = "[bold red]training refuses this[/]" if report.errors else "[bold green]fit for training[/]"
    console.print(
        f"\n{report.checks} checks; kinds of error: {counts['error']}, of warning: {counts['warning']}, "
        f"of remark: {counts['info']}; {verdict}"
    )
    if report.errors and not report.lasting_errors:
        console.print("`--skip-bad` trains without the objects and pictures in question", style="dim")


def _write_page(reports: list[Report], page: Path) -> None:
    from streamdet.datasets.doctor.page import as_html
    from streamdet.errors import ConfigError

    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(as_html(reports), encoding="utf-8")
    except OSError as error:
        raise ConfigError("the report cannot be written", where=page, got=error.strerror) from error


@data_app.command()
def show(
    data: Annotated[str, typer.Argument(help=_DATA)],
    out: Annotated[Path, typer.Option(help="Folder for the sheets.")] = Path("out/sheets"),
    count: Annotated[int, typer.Option(min=1, help="How many pictures, evenly spread.")] = 48,
    augmented: Annotated[bool, typer.Option("--augmented", help="As training sees them, newly mixed.")] = False,
    size: Annotated[int, typer.Option(min=32, help="Training size, with --augmented.")] = 640,
    seed: Annotated[int, typer.Option(min=0, help="Of the augmentation.")] = 0,
) -> None:
    """Contact sheets: pictures with their labels drawn, twelve a sheet."""
    import cv2

    from streamdet.datasets.catalogue import open_data_set
    from streamdet.datasets.pictured import contact_sheet
    from streamdet.errors import ConfigError

    data_set = open_data_set(data)
    pictures = _augmented(data_set, count, size, seed) if augmented else _plain(data_set, count)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("the folder cannot be made", where=out, got=error.strerror) from error
    number = 0
    while sheet := list(islice(pictures, 12)):
        number += 1
        cell = (480, round(480 * sheet[0].shape[0] / sheet[0].shape[1]))
        cv2.imwrite(str(out / f"sheet_{number:03}.jpg"), contact_sheet(sheet, cell=cell)[..., ::-1])
    typer.echo(f"{number} {'sheet' if number == 1 else 'sheets'} of {data_set.name}: {out}")


def _plain(data_set: DataSet, count: int) -> Iterator[Rgb]:
    from streamdet.datasets.pictured import draw_labels

    for index in _spread(len(data_set.entries), count):
        sample = data_set.read(index)
        yield draw_labels(sample.rgb, sample.objects, data_set.classes)


def _augmented(data_set: DataSet, count: int, size: int, seed: int) -> Iterator[Rgb]:
    from streamdet.datasets.pictured import draw_labels
    from streamdet.training.augment.augmenter import Augmenter
    from streamdet.training.augment.options import AugmentOptions

    augmenter = Augmenter(data_set, AugmentOptions(), (size, size))
    for index in _spread(len(augmenter), count):
        sample = augmenter.sample(index, seed)
        yield draw_labels(sample.rgb, sample.objects, data_set.classes)


def _spread(available: int, count: int) -> list[int]:
    """Up to `count` numbers, evenly spread."""
    return [at * available // min(count, available) for at in range(min(count, available))]


# scene → how many figures of which height
_FIGURES: dict[str, dict[str, Any]] = {
    "figure": {"figures": (1, 1)},
    "figures": {"figures": (1, 3), "height_ratio": (0.25, 0.6)},
}


@data_app.command()
def render(
    out: Annotated[Path, typer.Option(help="A new folder for pictures and labels.")],
    scene: Annotated[
        str,
        typer.Option(
            help="plates: streets, with the plates in them; characters: single plates, with masks; "
            "figure: one jointed figure a picture; figures: up to three."
        ),
    ] = "plates",
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same pictures.")] = 0,
    width: Annotated[
        int | None, typer.Option(min=64, max=3840, help="Of a picture: 1280, of single plates 256, of figures 128.")
    ] = None,
    height: Annotated[int | None, typer.Option(min=64, max=2160, help="Of a picture: 720, of others 128.")] = None,
    countries: Annotated[str | None, typer.Option(help="Whose plates, such as RO,DE; all by default.")] = None,
    valid: Annotated[
        float | None, typer.Option(min=0, max=0.9, help="Share of the streets, or pictures, in valid.json.")
    ] = None,
) -> None:
    """Rendered pictures as a COCO data set: boxes, corners or joints, masks and what is written, all exact."""
    from streamdet.errors import ConfigError

    scenes = ("plates", "characters", *_FIGURES)
    if scene not in scenes:
        raise ConfigError("there is no such scene", expected=" or ".join(scenes), got=scene)
    if countries is not None and scene != "plates":
        raise ConfigError("only the plates of streets are of chosen countries", got=f"--countries {countries}")
    shares = {} if valid is None else {"valid_ratio": valid}
    with _progress("rendering", quiet=False) as tell:
        if scene == "plates":
            from streamdet.datasets.rendered import RenderOptions, render_plates

            given = {"countries": tuple(countries.upper().split(","))} if countries else {}
            size = (width or 1280, height or 720)
            written = render_plates(out, RenderOptions(count=count, seed=seed, size=size, **shares, **given), tell)
        elif scene in _FIGURES:
            from streamdet.datasets.rendered_figures import FigureSetOptions, render_figures

            size = (width or 128, height or 128)
            told = FigureSetOptions(count=count, seed=seed, size=size, **shares, **_FIGURES[scene])
            written = render_figures(out, told, tell)
        else:
            from streamdet.datasets.rendered_characters import CharacterSetOptions, render_characters

            size = (width or 256, height or 128)
            written = render_characters(out, CharacterSetOptions(count=count, seed=seed, size=size, **shares), tell)
    typer.echo(f"{count} pictures: {', '.join(str(path) for path in written)}")


@contextmanager
def _progress(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on the terminal's error output, so that redirected output stays clean."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell
