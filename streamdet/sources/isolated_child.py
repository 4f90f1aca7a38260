"""The child process of an isolated source: opens it, reads it, and puts its pictures where the parent sees them."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
from typing import Any

from streamdet.errors import EndOfStream, SourceLost, StreamdetError
from streamdet.frames import Frame
from streamdet.sources import wire
from streamdet.sources.catalogue import make_source
from streamdet.sources.contract import Source
from streamdet.sources.options import SourceOptions
from streamdet.sources.ring import RingWriter, slot_bytes

_PR_SET_PDEATHSIG = 1
_ALIVE_EVERY_S = 0.5


def main() -> None:
    """`python -m streamdet.sources.isolated_child DESCRIPTOR PARENT`, started by IsolatedSource and nobody else."""
    link = socket.socket(fileno=int(sys.argv[1]))
    _die_with(int(sys.argv[2]))
    os.set_blocking(sys.stderr.fileno(), False)  # a parent that reads no stderr must not stop the pictures
    wire.send(link, "ready")
    order = wire.receive(link)
    if order is None:
        return
    fields, _ = order
    options = SourceOptions.model_validate(fields["options"]).model_copy(update={"isolate": False})
    source = make_source(fields["name"], fields["uri"], options)
    try:
        _Feed(link, source, options.isolate_slots).run()
    except (BrokenPipeError, ConnectionResetError):
        pass  # the parent has closed: nobody is left to tell
    finally:
        source.close()


class _Feed:
    """Reads the source and lends its pictures to the parent until one of them ends."""

    def __init__(self, link: socket.socket, source: Source, slots: int) -> None:
        self._link = link
        self._source = source
        self._slots = slots
        self._rings: dict[int, RingWriter] = {}  # only the newest is written; older ones wait for nobody
        self._newest = -1
        self._dropped = 0
        self._alive_s = 0.0

    def run(self) -> None:
        """Until the end, which is told."""
        try:
            self._source.open()
            wire.send(self._link, "opened", live=self._source.live, duration_s=self._source.duration_s)
            while True:
                frame = self._source.read()
                if not self._lend(frame):
                    return
                frame.picture.release()
        except EndOfStream:
            wire.send(self._link, "end", suspects=self._source.suspects(), dropped=self._dropped)
        except StreamdetError as error:
            wire.send(self._link, "lost", suspects=self._source.suspects(), dropped=self._dropped, **_told(error))

    def _lend(self, frame: Frame) -> bool:
        """Send a frame, or drop it where a live one finds no slot; False once the parent has gone."""
        if not self._take_back(wait=False):
            return False
        planes = frame.picture.planes
        ring = self._ring_for(slot_bytes(planes))
        written = ring.write(planes)
        while written is None and not self._source.live:
            if not self._take_back(wait=True):
                return False
            written = ring.write(planes)
        if written is None:
            self._dropped += 1
            self._say_alive()
            return True
        picture = frame.picture
        wire.send(
            self._link,
            "frame",
            ring=self._newest,
            slot=written.slot,
            generation=written.generation,
            layouts=written.layouts,
            format=picture.format,
            full_range=picture.full_range,
            matrix=picture.matrix,
            rotation=picture.rotation,
            index=frame.index,
            pts_s=frame.pts_s,
            epoch=frame.epoch,
            captured_at=frame.captured_at,
            time_source=frame.time_source,
            quality=frame.quality,
            path=frame.path,
            clock_offset_s=frame.clock_offset_s,
            decoder=getattr(self._source, "decoder", None),
            **self._counts(),
        )
        return True

    def _counts(self) -> dict[str, int]:
        dropped, self._dropped = self._dropped, 0
        return {"suspects": self._source.suspects(), "dropped": dropped}

    def _say_alive(self) -> None:
        now_s = time.monotonic()
        if now_s - self._alive_s > _ALIVE_EVERY_S:
            self._alive_s = now_s
            wire.send(self._link, "alive", **self._counts())

    def _take_back(self, *, wait: bool) -> bool:
        """Slots whose leases have ended; at least one if `wait`. False once the parent has gone."""
        while True:
            try:
                message = wire.receive(self._link, wait=wait)
            except BlockingIOError:
                return True
            if message is None:
                return False
            done, _ = message
            if done["ring"] in self._rings:
                self._rings[done["ring"]].give_back(done["slot"], done["generation"])
            wait = False

    def _ring_for(self, size: int) -> RingWriter:
        ring = self._rings.get(self._newest)
        if ring is not None and size <= ring.size:
            return ring
        if ring is not None:
            del self._rings[self._newest]
            ring.close()
        self._newest += 1
        ring = self._rings[self._newest] = RingWriter(self._slots, size)
        wire.send(self._link, "ring", ring.fd, ring=self._newest, slots=ring.slots, size=ring.size)
        return ring


def _told(error: StreamdetError) -> dict[str, Any]:
    cause = error.cause if isinstance(error, SourceLost) else "failed"
    return {
        "cause": cause,
        "what": error.what,
        "where": error.where,
        "expected": error.expected,
        "got": error.got,
        "hint": error.hint,
    }


def _die_with(parent: int) -> None:
    """The kernel kills this process when its parent is gone, also when the parent could not say goodbye."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before we asked
        sys.exit(1)


if __name__ == "__main__":
    main()
