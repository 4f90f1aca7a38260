"""All verbs, one file each."""

from __future__ import annotations

from importlib import metadata

import typer


def app() -> typer.Typer:
    """All verbs."""
    from streamdet.cli.bench import bench
    from streamdet.cli.doctor import doctor
    from streamdet.cli.engine import engine_app
    from streamdet.cli.labelled import data_app
    from streamdet.cli.report import report_app
    from streamdet.cli.run import check, run
    from streamdet.cli.train import train
    from streamdet.cli.workshop import eval_app

    main = typer.Typer(
        name="streamdet",
        help="Streaming video detection: many cameras or files in, tracks, records and Prometheus metrics out.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    main.callback()(_root)
    main.command()(run)
    main.command()(check)
    main.command()(train)
    main.add_typer(engine_app, name="engine", help="Engines on the shelf: list, show, check, bench, import.")
    main.add_typer(data_app, name="data", help="Labelled pictures: doctor, show, render.")
    main.add_typer(eval_app, name="eval", help="Scores against ground truth.")
    main.add_typer(report_app, name="report", help="What was measured, as a document.")
    main.command()(doctor)
    main.command()(bench)
    return main


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"streamdet {metadata.version('streamdet')}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Streaming video detection: many cameras or files in, tracks, records and Prometheus metrics out."""
