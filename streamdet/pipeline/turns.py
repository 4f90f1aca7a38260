"""Streams that play so many at a time: the files of a glob."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from streamdet.errors import StreamdetError
from streamdet.pipeline.road import Road
from streamdet.pipeline.stream import Stream
from streamdet.sinks.contract import StreamStatus

log = logging.getLogger(__name__)

OnDone = Callable[[str, StreamStatus], None]


@dataclass(frozen=True, slots=True)
class Queued:
    """A stream that waits for its turn; it is made when that comes."""

    name: str
    make: Callable[[], Stream]
    required: bool = True  # the exit code depends on it, also where it cannot be made


class Turns:
    """Whose turn it is. Streams come in and go out through the two calls of the pipeline that it is given."""

    def __init__(self, add: Callable[[str, Stream], None], take_out: Callable[[str], None]) -> None:
        self._add = add
        self._take_out = take_out
        self._waiting: deque[Queued] = deque()
        self._playing: set[str] = set()
        self._at_once = 0
        self._on_done: OnDone = lambda name, status: None
        self.failed: list[str] = []  # required ones, already taken out

    def queue(self, entries: Iterable[Queued], at_once: int, on_done: OnDone) -> None:
        """Further ones, so many at a time."""
        self._waiting += deque(entries)
        self._at_once = at_once
        self._on_done = on_done

    @property
    def over(self) -> bool:
        """Nobody plays and nobody waits."""
        return not self._waiting and not self._playing

    def turn(self, road_of: Callable[[str], Road]) -> None:
        """Take the finished ones out and let the next ones in."""
        for name in tuple(self._playing):
            road = road_of(name)
            if road.settled:
                self._playing.discard(name)
                status = road.status()
                failed = road.shell.state == "failed" and road.stream.required
                self._take_out(name)
                if failed:
                    self.failed.append(name)
                self._on_done(name, status)
        while self._waiting and len(self._playing) < self._at_once:
            entry = self._waiting.popleft()
            try:
                self._add(entry.name, entry.make())
            except StreamdetError as error:  # a file that went away since the queue was written costs only itself
                level = logging.ERROR if entry.required else logging.WARNING
                log.log(level, "stream %s cannot begin: %s", entry.name, error.line)
                if entry.required:
                    self.failed.append(entry.name)
                continue
            self._playing.add(entry.name)
