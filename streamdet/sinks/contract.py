"""What a sink promises, and what a sink that shows the state of things is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from streamdet.frames import Event, Result

Accepts = Literal["results", "events", "both"]


class Sink(Protocol):
    """Takes results or events to where they are wanted.

    Protocol, as its runner uses it: `open`, `write` any number of times, `close`; after SinkLost it may be closed and
    opened again, and what `write` had refused comes again. One thread makes all calls, of this sink alone. A result's
    picture is valid during `write` only. A sink neither retries, nor counts, nor starts threads that outlive `close`.

    `write` takes an item wholly or raises SinkLost having taken nothing of it. `close` is idempotent, legal in any
    state, and leaves every file properly finished.
    """

    name: str
    accepts: Accepts
    lossless: bool  # True: recorded streams wait for it; False: it may miss results when it is slow
    needs_picture: bool

    def open(self) -> None: ...

    def write(self, item: Result | Event) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One line of the live table."""

    stream: str
    state: str
    live: bool
    captured: int
    emitted: int
    unknown: int
    dropped: int
    fps: float  # emitted, over the last seconds
    latency_s: float | None  # decoded → emitted, recent median
    tracks: int
    position_s: float | None = None
    duration_s: float | None = None
    detail: str = ""  # why it is not well, redacted
