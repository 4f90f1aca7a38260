"""A source in a child process: a decoder that crashes or hangs costs one stream, and that only until it reopens."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from streamdet.errors import EndOfStream, SourceLost, redact
from streamdet.frames import Frame
from streamdet.picture import Picture
from streamdet.sources import wire
from streamdet.sources.contract import Source
from streamdet.sources.options import SourceOptions
from streamdet.sources.ring import RingReader, Written

_START_S = 20.0  # for a child's imports on a machine that is busy; not part of the source's deadline
_GRACE_S = 0.5  # the child's own deadline comes first: it knows more of the cause
_GOODBYE_S = 0.5  # for a child to sign off from its camera before it is killed
_STDERR_BYTES = 8192
_IMPORTS_FROM = str(Path(__file__).parents[2])  # the child must find the same streamdet, installed or not


class IsolatedSource:
    """Any source, run by a child that is killed when it hangs. Pictures come through shared memory, uncopied.

    Each `open` starts a new child. A child that dies is a loss of cause `crashed`, one that says nothing for the
    deadline is killed and `stalled`. Where the pipeline holds every slot, a live child drops its newest picture and
    counts it in `dropped`, a recorded one waits. Pictures that are still held stay readable after the child is gone.
    """

    def __init__(self, source: Source, uri: str, options: SourceOptions) -> None:
        self.name = source.name
        self.live = source.live
        self.deadline_s = source.deadline_s
        self.duration_s: float | None = None
        self.decoder: str | None = None
        self.dropped = 0
        self._uri = uri
        self._options = options
        self._suspects = 0
        self._first = True  # the key frame may be long in coming
        self._ended = False
        self._ended = False
        self._child: _Child | None = None

    def open(self) -> None:
        """Start a child and let it open the source, or raise SourceLost."""
        self.close()
        self._child = child = _Child(redact(self._uri))
        try:
            child.expect("ready", _START_S, "timeout")
            child.tell("source", name=self.name, uri=self._uri, options=self._own_options())
            opened = child.expect("opened", self.deadline_s + _GRACE_S, "timeout")
        except BaseException:
            self.close()
            raise
        self.decoder = None
        self.live, self.duration_s = opened["live"], opened["duration_s"]
        self._first, self._ended = True, False

    def read(self) -> Frame:
        """The next frame; EndOfStream or SourceLost as the child's source says, `crashed` or `stalled` as it fares."""
        if self._ended:
            raise EndOfStream
        if self._child is None:
            raise SourceLost("failed", "the source was read before it was opened", where=redact(self._uri))
        if self._ended:
            raise EndOfStream
        limit_s = max(self.deadline_s, self._options.key_frame_s if self._first and self.live else 0.0) + _GRACE_S
        while True:
            message = self._child.next(limit_s, "stalled")
            self._suspects += message.get("suspects", 0)
            self.dropped += message.get("dropped", 0)
            if message["kind"] == "lost":
                raise _loss(message)
            if message["kind"] == "end":
                self._ended = True
                raise EndOfStream
            if message["kind"] == "frame":
                self._first = False
                self.decoder = message["decoder"]
                return self._frame(message, self._child)

    def _frame(self, message: dict[str, Any], child: _Child) -> Frame:
        return Frame(
            self.name,
            message["index"],
            message["pts_s"],
            child.picture(message),
            message["epoch"],
            captured_at=message["captured_at"],
            time_source=message["time_source"],
            quality=message["quality"],
            path=message["path"],
            clock_offset_s=message["clock_offset_s"],
        )

    def _own_options(self) -> dict[str, Any]:
        """Those that concern sources, of a record that may hold more."""
        return self._options.model_dump(mode="json", include=set(SourceOptions.model_fields))

    def suspects(self) -> int:
        """Pictures that the child quarantined since the last call."""
        fresh, self._suspects = self._suspects, 0
        return fresh

    @property
    def child_pid(self) -> int | None:
        """Of the process that decodes, while one runs."""
        return None if self._child is None else self._child.process.pid

    def close(self) -> None:
        """End the child, by force where it does not listen; pictures that are still held stay readable."""
        child, self._child = self._child, None
        self._ended = False
        if child is not None:
            child.end()


def _loss(message: dict[str, Any]) -> SourceLost:
    """The child's SourceLost, on this side."""
    facts = {key: message[key] for key in ("where", "expected", "got", "hint")}
    return SourceLost(message["cause"], message["what"], **facts)


class _Child:
    """One process, the line to it, and the memory that it lent."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()  # leases end on any thread, also while this one closes
        self._closed = False
        self._rings: dict[int, RingReader] = {}
        self._slots = 0
        self._out = 0
        self._stderr = b""
        path = os.pathsep.join(filter(None, (_IMPORTS_FROM, os.environ.get("PYTHONPATH"))))
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamdet.sources.isolated_child", str(theirs.fileno()), str(os.getpid())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is for the pipeline to answer, by draining
            )
        assert self.process.stderr is not None
        self._errors = self.process.stderr
        os.set_blocking(self._errors.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._link, selectors.EVENT_READ)
        self._selector.register(self._errors, selectors.EVENT_READ)

    # ---- messages ----

    def tell(self, kind: str, **fields: Any) -> None:
        """A word to the child; one that is already dead shows when it is listened to."""
        with self._lock:
            if self._closed:
                return
            with contextlib.suppress(OSError):
                wire.send(self._link, kind, **fields)

    def expect(self, kind: str, limit_s: float, silence: Any) -> dict[str, Any]:
        """The next message, which is to be of that kind."""
        message = self.next(limit_s, silence)
        if message["kind"] == "lost":
            raise _loss(message)
        if message["kind"] != kind:
            raise SourceLost("failed", f"the decoder process said {message['kind']}, not {kind}", where=self._shown)
        return message

    def next(self, limit_s: float, silence: Any) -> dict[str, Any]:
        """The next message but rings; SourceLost if the child dies or is silent for the limit."""
        heard_s = time.monotonic()
        while True:
            left_s = heard_s + limit_s - time.monotonic()
            if self._all_out():
                heard_s = time.monotonic()  # it waits for us
                left_s = limit_s
            if left_s <= 0:
                self.process.kill()
                what = "the decoder process did not answer and was killed"
                raise SourceLost(silence, what, where=self._shown, got=f"silence for {limit_s:.1f} s")
            ready = [key.fileobj for key, _ in self._selector.select(min(left_s, 0.2))]
            if self._errors in ready:
                self._note_errors()
            if self._link in ready:
                message = self._hear()
                if message is not None:
                    return message

    def _hear(self) -> dict[str, Any] | None:
        try:
            received = wire.receive(self._link)
        except ConnectionResetError:
            # It closed without reading all of ours; what it said before that is still in the line.
            received = wire.receive(self._link)
        if received is None:
            raise self._died()
        message, descriptor = received
        if message["kind"] != "ring":
            return message
        assert descriptor is not None
        try:
            # An older ring lives on in the pictures that are still held.
            self._rings = {message["ring"]: RingReader(descriptor, message["slots"], message["size"])}
            with self._lock:
                self._slots, self._out = message["slots"], 0
        finally:
            os.close(descriptor)
        return None

    # ---- pictures ----

    def picture(self, message: dict[str, Any]) -> Picture:
        """A picture on the child's memory, with the lease that goes with it."""
        ring, slot, generation = message["ring"], message["slot"], message["generation"]
        layouts = tuple((offset, tuple(shape), dtype) for offset, shape, dtype in message["layouts"])
        planes = self._rings[ring].planes(Written(slot, generation, layouts))
        if planes is None:
            raise SourceLost("crashed", "the decoder process overwrote a picture before it was read", where=self._shown)
        with self._lock:
            self._out += 1

        def give_back() -> None:
            with self._lock:
                if ring in self._rings:
                    self._out -= 1
            self.tell("done", ring=ring, slot=slot, generation=generation)

        return Picture(
            planes,
            message["format"],
            full_range=message["full_range"],
            matrix=message["matrix"],
            rotation=message["rotation"],
            on_release=give_back,
        )

    def _all_out(self) -> bool:
        with self._lock:
            return 0 < self._slots <= self._out

    # ---- the end ----

    def _note_errors(self) -> None:
        text = self._errors.read(_STDERR_BYTES)
        if text:
            self._stderr = (self._stderr + text)[-_STDERR_BYTES:]
        else:
            self._selector.unregister(self._errors)  # the child has closed it

    def _died(self) -> SourceLost:
        try:
            code = self.process.wait(_GOODBYE_S)
        except subprocess.TimeoutExpired:  # it closed its line and lives: of no more use
            self.process.kill()
            code = self.process.wait()
        if self._errors in self._selector.get_map():
            self._note_errors()
        end = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        lines = redact(self._stderr.decode(errors="replace")).strip().splitlines()
        got = f"{end}: {lines[-1]}" if lines else end
        return SourceLost("crashed", "the decoder process died", where=self._shown, got=got)

    def end(self) -> None:
        """Hang up, wait a moment, kill; and let no zombie stay."""
        with self._lock:
            self._closed = True
            self._link.close()
        try:
            self.process.wait(_GOODBYE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._selector.close()
        self._errors.close()
        self._rings = {}
