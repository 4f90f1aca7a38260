"""`streamdet run` and `streamdet check`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamdet.cli import logs
from streamdet.config.flags import Flags
from streamdet.errors import ConfigError

if TYPE_CHECKING:
    from streamdet.config.models import MetricsOptions
    from streamdet.pipeline.pipeline import Pipeline, Report

Config = Annotated[Path | None, typer.Argument(help="A YAML file; flags come on top of it.", show_default=False)]
Sources = Annotated[
    list[str] | None,
    typer.Option("--source", "-s", help="A path, a glob, a URL, camera:0 or synthetic:plates. May be repeated."),
]
Engine = Annotated[
    list[str] | None, typer.Option("--engine", "-e", help="An engine's name or folder. May be repeated.")
]
Outs = Annotated[
    list[str] | None,
    typer.Option(
        "--out", "-o", help=".jsonl, .mp4, .csv (MOTChallenge), a folder/, or - for the terminal. May be repeated."
    ),
]
LogFormat = Annotated[logs.Format, typer.Option(help="How log lines look.")]
Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more; twice: say everything.")]


def run(
    config: Config = None,
    source: Sources = None,
    engine: Engine = None,
    tracker: Annotated[str | None, typer.Option(help="bytetrack, ocsort, sort, or none.")] = None,
    out: Outs = None,
    score: Annotated[float | None, typer.Option(min=0, max=1, help="Record objects of this score and more.")] = None,
    classes: Annotated[str | None, typer.Option(help="Only these classes, separated by commas.")] = None,
    max_frames: Annotated[int | None, typer.Option(min=1, help="End each stream after so many frames.")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve /metrics, /healthz and /readyz there.")
    ] = None,
    backend: Annotated[str | None, typer.Option(help="auto, onnx-cpu, openvino, onnx-cuda, tensorrt.")] = None,
    decode: Annotated[str | None, typer.Option(help="Where video is decoded: auto, cpu or cuda.")] = None,
    privacy: Annotated[
        str | None,
        typer.Option(help="Plate texts: off, hash (a keyed hash instead) or blur (and no plate in pictures)."),
    ] = None,
    realtime: Annotated[bool, typer.Option("--realtime", help="Play files no faster than they were recorded.")] = False,
    loop: Annotated[bool, typer.Option("--loop", help="Begin files again when they end.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Of a glob of videos, skip those that an earlier run finished.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No live table and no summary.")] = False,
    verbose: Verbose = 0,
    log_format: LogFormat = "text",
) -> None:
    """Run engines on streams: results to files, to the screen and to Prometheus.

    With no CONFIG, flags and defaults are enough:

        streamdet run --source street.mp4 --engine plates --out out/
    """
    logs.configure(verbose, log_format)
    top = {
        "track": tracker,
        "score": score,
        "classes": None if classes is None else [name.strip() for name in classes.split(",") if name.strip()],
        "privacy": privacy,
        "metrics": None if metrics_port is None else {"port": metrics_port},
    }
    each_stream = {"max_frames": max_frames, "decode": decode, "realtime": realtime or None, "loop": loop or None}
    flags = Flags(tuple(source or ()), tuple(engine or ()), backend, _given(top), _given(each_stream))
    raise typer.Exit(_run(config, flags, out or [], resume=resume, quiet=quiet))


def check(config: Annotated[Path, typer.Argument(help="The YAML file.")], log_format: LogFormat = "text") -> None:
    """Try every source, engine and sink of a configuration, run nothing, and tell all problems at once."""
    logs.configure(0, log_format)
    from streamdet.config.check import check_run
    from streamdet.config.validation import read_options

    options = read_options(config)
    findings = check_run(options, *([] if options.metrics is None else [_port(options.metrics)]))
    for finding in findings:
        typer.echo(("ok      " if finding.error is None else "PROBLEM ") + finding.what)
        if finding.error is not None:
            typer.echo("        " + str(finding.error).replace("\n", "\n        "))
    problems = sum(finding.error is not None for finding in findings)
    typer.echo(f"{len(findings) - problems} fine, {problems} to mend")
    raise typer.Exit(2 if problems else 0)


def _port(metrics: MetricsOptions) -> tuple[str, Callable[[], str]]:
    def attempt() -> str:
        from streamdet.metrics import Meter
        from streamdet.serve.health import HealthServer

        HealthServer(Meter(), lambda: (True, {}), port=metrics.port, host=metrics.host).close()
        return ""

    return f"metrics port {metrics.port}", attempt


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value is not None}


def _run(config: Path | None, flags: Flags, out: list[str], *, resume: bool, quiet: bool) -> int:
    from rich.console import Console

    from streamdet.config.assemble import assemble
    from streamdet.config.validation import read_options
    from streamdet.sinks.catalogue import sinks_for_out
    from streamdet.sinks.tables import summary
    from streamdet.sinks.terminal import TerminalOptions

    options = read_options(config, flags.applied)
    sinks = [*options.sinks, *(sink for path in out for sink in sinks_for_out(path, resume=resume))]
    if not quiet and not any(isinstance(sink, TerminalOptions) for sink in sinks):
        sinks.append(TerminalOptions())
    changes: dict[str, Any] = {"sinks": tuple(sinks)}
    if resume and options.resume is None:
        changes["resume"] = _journal(out)
    options = options.model_copy(update=changes)
    with Signals() as signals:
        pipeline = assemble(options)
        report, wall_s = _served(pipeline, options.metrics, signals)
    if not report.streams and not report.failed_streams:
        logs.say("nothing is left to do: an earlier run finished every file")
    elif not quiet:
        Console(highlight=False).print(summary(report.streams, wall_s, out))
    for stream, frames in report.lost.items():
        logs.say(f"{stream}: {frames} frames were given up when the time to drain was over")
    return 130 if signals.interrupted else report.exit_code


def _served(pipeline: Pipeline, metrics: MetricsOptions | None, signals: Signals) -> tuple[Report, float]:
    """Run it to its end, its metrics served meanwhile; and how long that took."""
    server = None
    if metrics is not None:
        from streamdet.serve.health import HealthServer

        server = HealthServer(pipeline.meter, lambda: pipeline.ready, port=metrics.port, host=metrics.host)
        logs.say(f"metrics on port {server.port}: /metrics, /healthz, /readyz")
    began_s = time.monotonic()
    try:
        signals.drain(pipeline.stop)
        return pipeline.run(), time.monotonic() - began_s
    finally:
        if server is not None:
            server.close()


def _journal(outs: list[str]) -> Path:
    for out in outs:
        if out != "-":
            path = Path(out)
            return (path.parent if path.suffix else path) / "finished.jsonl"
    raise ConfigError("--resume needs a place to remember what is done", hint="add --out out/")


class Signals:
    """SIGTERM and the first SIGINT drain; a second SIGINT ends the process at once.

    Before there is anything to drain both end it: with a handler for that too, because the first process of a
    container has no other way to hear of SIGTERM.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._stop: Callable[[], None] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._received)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def drain(self, stop: Callable[[], None]) -> None:
        """From now on, this is how to stop."""
        self._stop = stop

    def _received(self, number: int, _: FrameType | None) -> None:
        if self._stop is None:
            raise SystemExit(130 if number == signal.SIGINT else 0)
        if number == signal.SIGINT:
            if self.interrupted:
                os._exit(130)
            self.interrupted = True
            # os.write: the handler may interrupt a print that holds the stream's lock.
            said = logs.line("finishing what is under way; Ctrl-C again ends at once")
            os.write(sys.stderr.fileno(), f"{'' if logs.are_json() else chr(10)}{said}\n".encode())
        self._stop()
