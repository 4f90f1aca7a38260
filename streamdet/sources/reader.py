"""From a container to decoded pictures: the part that files, network streams and cameras share."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from streamdet.errors import SourceLost, redact
from streamdet.sources.classify import INVALID_DATA, Phase, classify, loss
from streamdet.sources.ffmpeg import load, scrub, told
from streamdet.sources.hardware import Decode, accelerator, give_up, given_up, why_not
from streamdet.sources.planes import Orientation

if TYPE_CHECKING:
    from av.codec.hwaccel import HWAccel
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

PlaceOnGpu = Callable[[], int | None]  # the GPU whose memory pictures shall stay in; None: the host's
Logs = list[tuple[int, str, str]]

_log = logging.getLogger(__name__)

_GPU_FAILURES_IN_A_ROW = 16  # before the GPU is held to be what is broken, rather than the video
_BAD_READS_IN_A_ROW = 64  # of a damaged file, before it counts as ended
_PICTURE_TYPE_I = 1
_SECURE = ("rtsps:", "https:")
_TEXT_ART = ("tty",)  # FFmpeg "plays" any text file as a film of its letters


@dataclass(frozen=True, slots=True)
class Decoded:
    """A good picture out of the decoder."""

    frame: VideoFrame
    raw_s: float | None  # its own timestamp
    arrived_at: float  # wall time of its packet
    smeared: bool  # it follows a damaged one, before the next key frame


@dataclass(frozen=True, slots=True)
class Report:
    """Wall time that came with a packet, as FFmpeg's `prft` side data."""

    prft: bytes
    raw_s: float
    arrived_at: float


@dataclass(frozen=True, slots=True)
class Access:
    """How to open a container, and when to give up."""

    url: str
    shown: str  # what messages call it
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    remote: bool = False  # a network or a device: it may fall silent, and nothing that was lost comes back
    bursts: bool = False  # HLS: FFmpeg itself waits for the next segment, which no option of the socket can limit
    deadline_s: float = 5.0
    key_frame_s: float = 20.0
    decode: Decode = "cpu"
    place: PlaceOnGpu | None = None  # asked each time a decoder is opened on a GPU


class Reader:
    """One opened container and its decoder; used once, by one thread.

    What the decoder marks damaged and what precedes the first key frame is quarantined: counted in `suspects`, never
    handed out.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._av = load()
        self._container: InputContainer | None = None
        self._packets: Iterator[Packet[VideoStream]] = iter(())
        self._decoded: deque[Decoded] = deque()
        self._keyed = False
        self._smeared = False
        self._bad_reads = 0
        self._gpu: int | None = None  # where pictures stay
        self._gpu_failures = 0
        self._handed_over_s: float | None = None
        self._again_until_s: float | None = None  # of a file that goes on in software: so far it was handed over
        self.suspects = 0
        self._report: Report | None = None
        self.orientation = Orientation()
        self._open()

    # ---- opening ----

    def _open(self) -> None:
        access = self._access
        # A server may drip: FFmpeg's deadline counts silence, this one the whole of connecting. It is polled only
        # while opening, so that reading stays free of the GIL; HLS has no other deadline.
        timeout = (access.deadline_s, access.deadline_s if access.bursts else None) if access.remote else None
        started_s = time.monotonic()
        hwaccel = self._accelerator()
        with self._av.logging.Capture() as logs:
            try:
                try:
                    self._container = self._open_with(hwaccel, timeout)
                except (self._av.error.FFmpegError, OSError, ValueError) as error:
                    # FFmpeg opens the GPU here too, and where that fails says EPERM. A server that did not answer once
                    # is not asked again.
                    maybe_the_gpu = isinstance(error, PermissionError) or not access.remote
                    if hwaccel is None or access.decode == "cuda" or not maybe_the_gpu:
                        raise
                    self._gpu = None
                    self._container = self._open_with(None, timeout)
                    _log.warning("%s: decoded in software, as the GPU failed: %s", access.shown, redact(str(error)))
            except (self._av.error.FFmpegError, OSError, ValueError) as error:
                waited_out = access.remote and time.monotonic() - started_s >= access.deadline_s
                self._lose(error, logs, "opening", waited_out)
        try:
            self._choose_stream()
        except BaseException:
            self.close()
            raise

    def _accelerator(self) -> HWAccel | None:
        decode = self._access.decode
        place = self._access.place
        gpu = place() if decode != "cpu" and place is not None else None
        reason = given_up(gpu) or why_not() if decode != "cpu" else None
        if decode == "cpu" or (decode == "auto" and reason is not None):
            return None
        if reason is not None:
            hint = "decode: auto takes software where there is no GPU"
            raise loss("codec", where=self._access.shown, got=f"decode: cuda, and {reason}", hint=hint)
        self._gpu = gpu
        return accelerator(gpu)

    def _open_with(self, hwaccel: HWAccel | None, timeout: tuple[float, float | None] | None) -> InputContainer:
        container: InputContainer = self._av.open(
            self._access.url,
            format=self._access.format,
            options=dict(self._access.options),
            metadata_errors="replace",
            timeout=timeout,
            hwaccel=hwaccel,
        )
        return container

    @property
    def decoder(self) -> str:
        """Where pictures are decoded, known with the first of them: cpu, or cuda and the GPU's number."""
        codec = self.stream.codec_context
        # FFmpeg leaves the GPU's format where it falls back to software, which it does without a word.
        on_gpu = codec is not None and codec.is_hwaccel and codec.pix_fmt == "cuda"
        return f"cuda:{self._gpu or 0}" if on_gpu else "cpu"

    def _choose_stream(self) -> None:
        container = self._opened()
        from av.stream import Disposition

        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams or container.format.name in _TEXT_ART:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise loss("no_video", where=self._access.shown, got=f"{container.format.long_name}: {kinds}")
        self.stream: VideoStream = streams[0]
        codec = self.stream.codec_context
        if codec is None:
            raise loss("codec", where=self._access.shown, got="no decoder for this format")
        codec.thread_count = self._access.threads
        codec.thread_type = "SLICE" if self._access.threads == 1 else "AUTO"
        rate = self.stream.average_rate or self.stream.guessed_rate
        self.interval_s = 1 / float(rate) if rate and 0.1 < rate < 1000 else 0.04
        self._tick_s = float(self.stream.time_base or 0)
        self._timed_by_dts = container.format.name == "avi"  # AVI stores one time per packet, in decoding order
        self._packets = container.demux(self.stream)

    @property
    def duration_s(self) -> float | None:
        """Of a recording, where it says."""
        if self.stream.duration is not None and self.stream.time_base is not None:
            return float(self.stream.duration * self.stream.time_base)
        duration = self._opened().duration
        return None if duration is None else duration / 1e6

    # ---- reading ----

    def next(self) -> Decoded | None:
        """The next good picture; None at the end; SourceLost when the stream broke off."""
        started_s = time.monotonic()
        with self._av.logging.Capture() as logs:
            while not self._decoded:
                logs.clear()  # a line explains the call that it was said in, no other
                packet = self._packet(logs)
                if packet is None:
                    return None
                self._feed(packet)
                if self._access.remote and not self._decoded:
                    self._check_patience(time.monotonic() - started_s)
        return self._decoded.popleft()

    def _check_patience(self, waited_s: float) -> None:
        """Packets come, pictures do not: that too has to end."""
        access = self._access
        if waited_s > (access.deadline_s if self._keyed else max(access.deadline_s, access.key_frame_s)):
            got = "packets, but no picture" if self._keyed else "packets, but no key frame"
            raise loss("codec", where=access.shown, got=f"{got}, for {waited_s:.0f} s")

    def _packet(self, logs: Logs) -> Packet[VideoStream] | None:
        while True:
            started_s = time.monotonic()
            try:
                packet = next(self._packets, None)
            except (self._av.error.FFmpegError, OSError, ValueError) as error:
                if self._access.remote or not self._read_on(error):
                    self._lose(error, logs, "playing")
                continue
            self._bad_reads = 0
            if packet is None and self._access.remote and logs:
                self._check_end(logs)
            # After a timeout FFmpeg first flushes its parser, which hands over the last, half old picture, and would
            # then wait for the whole deadline a second time: that is why it seems to fire at twice its value.
            if self._access.remote and time.monotonic() - started_s >= self._access.deadline_s:
                raise loss("stalled", where=self._access.shown, got=f"nothing for {self._access.deadline_s:g} s")
            return packet

    def _check_end(self, logs: Logs) -> None:
        """Some demuxers call a connection that broke the end of the file; the log knows better."""
        verdict = classify(None, "", told(logs), "playing")
        if verdict.cause != "failed":
            raise loss(verdict.cause, where=self._access.shown, got=verdict.words)

    def _read_on(self, error: Exception) -> bool:
        """A damaged spot in a file is stepped over; an error that stays is not."""
        self._bad_reads += 1
        if getattr(error, "errno", None) != INVALID_DATA or self._bad_reads > _BAD_READS_IN_A_ROW:
            return False
        self.suspects += 1
        self._smeared = True
        self._packets = self._opened().demux(self.stream)
        return True

    def _feed(self, packet: Packet[VideoStream]) -> None:
        arrived_at = time.time()
        if self._access.remote:
            if not self._keyed and packet.size and not packet.is_keyframe:
                self.suspects += 1
                return
            if packet.pts is not None and packet.has_sidedata("prft"):
                prft = bytes(packet.get_sidedata("prft"))
                self._report = Report(prft, packet.pts * self._tick_s, arrived_at)
        try:
            frames = self._frames_of(packet)
        except (self._av.error.FFmpegError, ValueError) as error:
            self.suspects += 1
            self._smeared = True
            self._suspect_the_gpu(error)
            return
        if frames:
            self._gpu_failures = 0
        for frame in frames:
            self._admit(frame, arrived_at, packet.is_corrupt)

    def _frames_of(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        return packet.decode()

    def _suspect_the_gpu(self, error: Exception) -> None:
        """One failure may be the video's; many in a row are the GPU's: software goes on where it failed."""
        if self.decoder == "cpu":
            return
        self._gpu_failures += 1
        if self._gpu_failures < _GPU_FAILURES_IN_A_ROW:
            return
        reason = f"{self.decoder} failed {self._gpu_failures} times in a row: {redact(str(error))}"
        give_up(self._gpu, reason)
        if self._access.remote or self._access.decode == "cuda":
            raise loss("codec", where=self._access.shown, got=reason) from error
        _log.warning("%s: decoded in software from here on, as %s", self._access.shown, reason)
        self.suspects -= self._gpu_failures  # they are read once more
        self._gpu, self._gpu_failures = None, 0
        self.close()
        self._container = self._open_with(None, None)
        self._choose_stream()
        self._keyed = self._smeared = False
        self._again_until_s = self._handed_over_s
        if self._handed_over_s is not None:
            self._container.seek(round(self._handed_over_s / self._tick_s), stream=self.stream)

    def _admit(self, frame: VideoFrame, arrived_at: float, packet_corrupt: bool) -> None:
        key = frame.key_frame or frame.pict_type == _PICTURE_TYPE_I
        if frame.is_corrupt or packet_corrupt:
            self.suspects += 1
            self._smeared = True
            return
        if not key and not self._keyed:
            self.suspects += 1
            return
        if key:
            self.orientation = Orientation.of(frame)
            self._keyed, self._smeared = True, False
        raw_s = self._raw_s(frame)
        if self._again_until_s is not None and raw_s is not None and raw_s <= self._again_until_s:
            return
        self._again_until_s = None
        self._handed_over_s = raw_s
        self._decoded.append(Decoded(frame, raw_s, arrived_at, self._smeared))

    def _raw_s(self, frame: VideoFrame) -> float | None:
        ticks = frame.dts if self._timed_by_dts else frame.pts
        if ticks is None:
            ticks = frame.dts
        return None if ticks is None else ticks * self._tick_s

    def take_report(self) -> Report | None:
        """The newest report of wall time, once."""
        report, self._report = self._report, None
        return report

    # ---- ending ----

    def _lose(self, error: Exception, logs: Logs, phase: Phase, waited_out: bool = False) -> NoReturn:
        scrub(error)
        words = getattr(error, "strerror", None) or str(error)
        secure = self._access.url.lower().startswith(_SECURE)
        number = getattr(error, "errno", None)
        verdict = classify(number, words, told(logs), phase, secure=secure, waited_out=waited_out)
        raise loss(verdict.cause, where=self._access.shown, got=verdict.words) from error

    def _opened(self) -> InputContainer:
        if self._container is None:
            raise SourceLost("failed", "read before open", where=self._access.shown)
        return self._container

    def close(self) -> None:
        """Give back the connection, the decoder and what it still held."""
        container, self._container = self._container, None
        self._decoded.clear()
        self._packets = iter(())
        if container is None:
            return
        for stream in container.streams.video:
            # Idle the decoder's threads while the GIL is free: one that wants to log would wait for it for ever.
            if stream.codec_context is not None:
                stream.codec_context.flush_buffers()
        container.close()
