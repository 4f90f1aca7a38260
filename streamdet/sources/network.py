"""RTSP, RTSPS, HTTP and HLS."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from streamdet.errors import redact
from streamdet.frames import Frame
from streamdet.sources.live import LiveSource
from streamdet.sources.options import SourceOptions
from streamdet.sources.pace import Pace
from streamdet.sources.player import Played, Player
from streamdet.sources.reader import Access
from streamdet.sources.wallclock import WallClock

# A camera's SDP says what the stream is: a fifth of a second of packets only confirms it. Other protocols have to
# find out, so they may look longer. Never `nobuffer`: it throws away the key frame that was looked at.
_ANALYSE_RTSP_US = 200_000
_ANALYSE_HTTP_US = 1_000_000
_RECORDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".wmv", ".mpg", ".mpeg")


class NetworkSource(LiveSource):
    """A stream or a recording on the network.

    RTSP is always live: its end is a loss. HTTP and HLS are live until the server names a duration: then it is a
    recording, which ends with EndOfStream. A URL that ends like a video file is taken for a recording from the start.

    FFmpeg's own `timeout` watches every operation of the socket; silence longer than `deadline_s` is a loss. Frames
    bear the camera's own wall time once its RTCP sender reports have come (`rtcp`), until then their time of arrival.
    HLS comes in segments of seconds: live, its frames are handed out at their own pace, not in bursts.
    """

    def __init__(self, name: str, url: str, options: SourceOptions | None = None) -> None:
        options = options or SourceOptions()
        super().__init__(name, redact(url), options)
        self._url = url
        parts = urlsplit(url)
        self._rtsp = parts.scheme.lower() in ("rtsp", "rtsps")
        self.live = self._rtsp or not parts.path.lower().endswith(_RECORDINGS)
        self._hls = not self._rtsp and "m3u8" in url.lower()
        self._wall_clock = WallClock()
        self._pace = Pace(options.deadline_s)

    def open(self) -> None:
        """Connect, or raise SourceLost."""
        super().open()
        self._wall_clock = WallClock()
        self._pace = Pace(self.deadline_s)
        if not self._rtsp and self._player is not None:
            self.duration_s = self._player.reader.duration_s
            self.live = not self.duration_s

    def _access(self) -> Access:
        options = self._rtsp_options() if self._rtsp else self._http_options()
        return Access(self._url, self._shown, options=options, bursts=self._hls, decode=self.options.decode)

    def _rtsp_options(self) -> dict[str, str]:
        options = {
            "timeout": self._deadline_us(),
            "analyzeduration": str(_ANALYSE_RTSP_US),
            "allowed_media_types": "video",  # sound would be transmitted for nothing
            **self._tls_options(),
        }
        if self.options.transport == "auto":
            options["rtsp_flags"] = "prefer_tcp"
        else:
            options["rtsp_transport"] = self.options.transport
        return options

    def _http_options(self) -> dict[str, str]:
        return {
            "rw_timeout": self._deadline_us(),
            "timeout": self._deadline_us(),
            "analyzeduration": str(_ANALYSE_HTTP_US),
            **self._tls_options(),
        }

    def _tls_options(self) -> dict[str, str]:
        if not self.options.tls_verify:
            return {"tls_verify": "0"}
        trusted = self.options.tls_ca or ssl.get_default_verify_paths().cafile
        return {"tls_verify": "1", **({"ca_file": str(trusted)} if trusted else {})}

    def _deadline_us(self) -> str:
        return str(round(self.options.deadline_s * 1e6))

    def _dated(self, played: Played, player: Player) -> Frame:
        frame = played.frame(self.name)
        if not self.live:
            return frame
        if self._hls:
            self._pace.wait(played.stamp)
        report = player.reader.take_report()
        if report is not None:
            self._wall_clock.see(report)
        wall = self._wall_clock.at(played.decoded.raw_s)
        if wall is None:
            frame.captured_at, frame.time_source = played.decoded.arrived_at, "arrival"
        else:
            frame.captured_at, frame.clock_offset_s = wall
            frame.time_source = "rtcp"
        return frame
