"""`streamdet engine quantize`: a less precise file beside an engine's fp32 one, if it finds the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from streamdet.cli.build import file_precision
from streamdet.cli.console import one_engine, say
from streamdet.errors import ConfigError

_MOST_PICTURES = 512
_FEW_PICTURES = 64


def quantize(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR", help="An engine on the shelf, or its folder.")],
    precision: Annotated[Literal["fp16", "int8"], typer.Option(help="fp16 needs no pictures.")] = "int8",
    data: Annotated[
        Path | None, typer.Option(help="A folder of pictures like those of the deployment, for the ranges.")
    ] = None,
) -> None:
    """Write an engine's fp16 or int8 file for a GPU; it stays only if it finds what the fp32 file finds."""
    from rich.markup import escape

    from streamdet.graft.casts import half
    from streamdet.graft.gate import add_file
    from streamdet.graft.pictures import from_files, picture_files
    from streamdet.graft.quantise import symmetric
    from streamdet.graft.raw import load_engine_graph

    engine = one_engine(name)
    manifest = engine.manifest
    _, path = engine.model("fp32")
    model = load_engine_graph(path)
    if precision == "fp16":
        made = half(model)
    else:
        if data is None:
            raise ConfigError(
                "int8 needs pictures", expected="--data, a folder of pictures like those of the deployment"
            )
        files = picture_files(data, _MOST_PICTURES)
        if len(files) < _FEW_PICTURES:
            say(f"[yellow]note[/]: {len(files)} pictures; ranges from fewer than {_FEW_PICTURES} are a guess")
        made = symmetric(model, manifest, from_files(files, manifest.input))
    wanted = file_precision(precision)
    assert wanted is not None
    report = add_file(engine, wanted, made, data)
    for row in report.rows:
        if row.precision == wanted and row.verdict != "not here":
            say(f"{row.runtime} {row.precision}: {row.verdict}{escape(f', {row.why}' if row.why else '')}")
    say(f"[green]model.{wanted}.onnx[/] is in {escape(str(engine.folder))}")
    say(f"next: streamdet engine build {escape(manifest.name)} --precision {precision}")
