"""The command line: one verb a file, and one place where errors become messages and exit codes."""

from __future__ import annotations

import logging
import sys
from importlib import metadata

import typer

from streamdet.cli import logs
from streamdet.errors import SinkLost, StreamdetError


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


def main() -> None:
    """The entry point. A user's mistake is a message and exit code 2, never a traceback."""
    try:
        app()()
    except StreamdetError as error:
        logs.say(error.line if logs.are_json() else f"error: {error}", level=logging.ERROR)
        sys.exit(4 if isinstance(error, SinkLost) else 2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)  # whoever read our output has seen enough
