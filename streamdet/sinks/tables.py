"""What the terminal shows, as pure functions: the live table, plain lines, the summary."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from streamdet.errors import redact
from streamdet.frames import Event
from streamdet.sinks.contract import StreamStatus

_STATE_STYLES = {
    "running": "green",
    "ended": "dim",
    "failed": "bold red",
    "backoff": "yellow",
    "stalled": "yellow",
}
_NAME_WIDTH = 28
_TOLD = ("stream_", "sink_", "engine_")  # events about one of these concern everybody; tracks are for records


def live_view(statuses: Sequence[StreamStatus]) -> RenderableType:
    """The table of all streams, and a bar under it where the lengths of the files are known."""
    table = _table(statuses, ("fps", "latency", "frames", "unknown", "dropped", "tracks"), wrap_detail=False)
    for status in statuses:
        table.add_row(
            *_name_and_state(status),
            f"{status.fps:.1f}",
            _latency(status.latency_s),
            f"{status.emitted:,}",
            Text(f"{status.unknown:,}", style="yellow" if status.unknown else "dim"),
            Text(f"{status.dropped:,}", style="yellow" if status.dropped else "dim"),
            f"{status.tracks:,}",
            Text(redact(status.detail), style="dim"),
        )
    bar = _progress(statuses)
    return table if bar is None else Group(table, bar)


def plain_line(status: StreamStatus) -> str:
    """One stream on one line, for logs: no colours, no cursor movements."""
    parts = [
        f"{status.stream}: {status.state}",
        f"{status.emitted} frames",
        f"{status.fps:.1f} fps",
        f"latency {_latency(status.latency_s)}",
        f"{status.unknown} unknown",
        f"{status.dropped} dropped",
        f"{status.tracks} tracks",
    ]
    done = _done([status])
    if done is not None:
        parts.append(f"{done:.0%}")
    if status.detail:
        parts.append(_short(status.detail))
    return _printable(", ".join(parts))


def event_line(event: Event) -> str | None:
    """An event that concerns a whole stream, a sink or an engine, on one line; None for the others."""
    if not event.kind.startswith(_TOLD):
        return None
    fields = {name: value for name, value in event.fields.items() if value not in (None, "")}
    state = fields.pop("state", None)
    detail = fields.pop("detail", None)
    what = event.kind.removeprefix("stream_").replace("_", " ") if state is None else str(state)
    cause = ", ".join(f"{name} {value}" for name, value in fields.items())
    line = f"{event.stream}: {what}" + (f" ({cause})" if cause else "") + (f": {_short(str(detail))}" if detail else "")
    return _printable(redact(line))


def summary(statuses: Sequence[StreamStatus], wall_s: float, outputs: Sequence[str] = ()) -> RenderableType:
    """What a run has done: one row per stream, their sum, the time it took and where the results lie."""
    table = _table(statuses, ("frames", "unknown", "dropped", "fps"), wrap_detail=True)
    for status in statuses:
        table.add_row(*_name_and_state(status), *_figures([status], wall_s), Text(_short(status.detail)))
    if len(statuses) > 1:
        table.add_row("all", "", *_figures(statuses, wall_s), "", style="bold")
    lines: list[RenderableType] = [table, Text(f"took {duration_text(wall_s)}", style="dim")]
    lines += [Text(f"→ {redact(output)}") for output in outputs]
    return Group(*lines)


def duration_text(seconds: float) -> str:
    """Seconds as people say them: 4.2 s, 3 min 05 s, 2 h 07 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _table(statuses: Sequence[StreamStatus], figures: Sequence[str], *, wrap_detail: bool) -> Table:
    """A table whose last column, the detail, gives way first where the terminal is narrow."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", expand=False)
    longest = max((len(status.stream) for status in statuses), default=0)
    table.add_column("stream", no_wrap=True, overflow="ellipsis", min_width=min(max(longest, 6), _NAME_WIDTH))
    table.add_column("state", no_wrap=True, min_width=max((len(status.state) for status in statuses), default=0))
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True, min_width=max(len(heading), 6))
    table.add_column("", no_wrap=not wrap_detail, overflow="fold" if wrap_detail else "ellipsis")
    return table


def _name_and_state(status: StreamStatus) -> tuple[Text, Text]:
    return Text(_printable(status.stream)), Text(status.state, style=_STATE_STYLES.get(status.state, ""))


def _figures(statuses: Sequence[StreamStatus], wall_s: float) -> tuple[str, str, str, str]:
    emitted = sum(status.emitted for status in statuses)
    unknown = sum(status.unknown for status in statuses)
    dropped = sum(status.dropped for status in statuses)
    return f"{emitted:,}", f"{unknown:,}", f"{dropped:,}", f"{emitted / wall_s:.1f}" if wall_s > 0 else "-"


def _progress(statuses: Sequence[StreamStatus]) -> RenderableType | None:
    done = _done(statuses)
    if done is None:
        return None
    left_s = _left_s(statuses)
    grid = Table.grid(padding=(0, 1))
    grid.add_row(
        ProgressBar(total=1.0, completed=done, width=40),
        f"{done:.0%}",
        Text("" if left_s is None else f"{duration_text(left_s)} left", style="dim"),
    )
    return grid


def _recorded(statuses: Sequence[StreamStatus]) -> list[tuple[float, float]]:
    """Position and length of the files whose length is known."""
    return [
        (
            status.duration_s if status.state == "ended" else min(status.position_s or 0.0, status.duration_s),
            status.duration_s,
        )
        for status in statuses
        if not status.live and status.duration_s is not None and status.duration_s > 0
    ]


def _done(statuses: Sequence[StreamStatus]) -> float | None:
    files = _recorded(statuses)
    return sum(position for position, _ in files) / sum(length for _, length in files) if files else None


def _left_s(statuses: Sequence[StreamStatus]) -> float | None:
    """How long the slowest file still takes at the speed it has had lately."""
    longest: float | None = None
    for status in statuses:
        if status.live or status.state in ("ended", "failed") or not status.duration_s:
            continue
        if not status.position_s or status.fps <= 0 or status.emitted == 0:
            continue
        seconds_per_frame = status.position_s / status.emitted
        left_s = max(status.duration_s - status.position_s, 0) / (seconds_per_frame * status.fps)
        longest = left_s if longest is None else max(longest, left_s)
    return longest


def _latency(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"


def _short(detail: str) -> str:
    """What is wrong, without where, got and hint: the log has said all of it."""
    return redact(detail).partition(" · ")[0]


def _printable(text: str) -> str:
    """Without line breaks and control characters, which a stream's name or a server's answer might hold."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
