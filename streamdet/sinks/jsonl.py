"""Records in a file: one line of JSON per result and event, as docs/records.md describes them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from streamdet.frames import Event, Result
from streamdet.records import event_record, result_record, to_line
from streamdet.sinks.contract import Accepts
from streamdet.sinks.lines import Existing, LineFile
from streamdet.sinks.loss import sink_lost
from streamdet.sinks.options import SinkOptions

_MEGABYTE = 1_000_000


class JsonlOptions(SinkOptions):
    """Records, one line of JSON each."""

    kind: Literal["jsonl"] = "jsonl"
    path: Annotated[Path, Field(description="The file; folders on the way to it are created.")]
    records: Annotated[Accepts, Field(description="Results, events or both.")] = "both"
    existing: Annotated[
        Existing, Field(description="What to do with a file of an earlier run: go on with it, or start anew.")
    ] = "append"
    rotate_mb: Annotated[
        float | None, Field(gt=0, description="Begin a new file before this one grows larger; never where not given.")
    ] = None
    rotate_s: Annotated[
        float | None, Field(gt=0, description="Begin a new file once this one is so old; never where not given.")
    ] = None
    keep: Annotated[int, Field(ge=1, le=10_000, description="How many rotated files stay: path.1 is the newest.")] = 10


class Jsonl:
    """Writes records as whole lines; each is in the file when `write` returns, so that a kill loses none."""

    lossless = True
    needs_picture = False

    def __init__(self, options: JsonlOptions, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = options.name or options.kind
        self.accepts: Accepts = options.records
        self._options = options
        self._clock = clock
        self._file = LineFile(options.path, is_ours=lambda start: b'{"schema":"streamdet.'.startswith(start[:21]))
        self._begun_s = 0.0
        self._opened_before = False

    def open(self) -> None:
        """Open the file. Whatever `existing` says, a second `open` goes on with what the first one began."""
        if self._file.is_open:
            return
        self._file.open("append" if self._opened_before else self._options.existing)
        self._opened_before = True
        self._begun_s = self._clock()

    def write(self, item: Result | Event) -> None:
        """One record at the end of the file."""
        if not self._options.takes(item):
            return
        line = to_line(event_record(item) if isinstance(item, Event) else result_record(item))
        self.open()
        if self._rotation_is_due(len(line)):
            self._rotate()
        self._file.append(line)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _rotation_is_due(self, more_bytes: int) -> bool:
        if self._file.size == 0:
            return False
        limit_mb, limit_s = self._options.rotate_mb, self._options.rotate_s
        too_large = limit_mb is not None and self._file.size + more_bytes > limit_mb * _MEGABYTE
        return too_large or (limit_s is not None and self._clock() - self._begun_s >= limit_s)

    def _rotate(self) -> None:
        path = self._options.path
        try:
            for number in range(self._options.keep - 1, 0, -1):
                if _numbered(path, number).exists():
                    os.replace(_numbered(path, number), _numbered(path, number + 1))
            os.replace(path, _numbered(path, 1))
        except OSError as error:
            raise sink_lost("records cannot be rotated", path, error) from error
        self._file.close()
        self._file.open("append")
        self._begun_s = self._clock()


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
