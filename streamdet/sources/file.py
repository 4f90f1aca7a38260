"""Video files, in any container that FFmpeg reads."""

from __future__ import annotations

from pathlib import Path

from streamdet.errors import EndOfStream, SourceLost
from streamdet.frames import Frame
from streamdet.sources.classify import loss
from streamdet.sources.options import SourceOptions
from streamdet.sources.pace import Pace
from streamdet.sources.player import Player
from streamdet.sources.reader import Access, PlaceOnGpu

# A recording may pause (a dash camera, a screen recorder); a leap beyond this is a broken clock, not a pause.
_GAP_S = 600.0


class FileSource:
    """A video file from its first picture to its last, damaged spots stepped over and counted.

    A truncated file plays as far as it goes. A file without one picture that can be decoded is a loss. `loop` starts
    it again in a new epoch; `realtime` holds each frame back until its time has come.
    """

    live = False

    def __init__(self, name: str, path: str | Path, options: SourceOptions | None = None) -> None:
        self.name = name
        self.path = Path(path)
        self.options = options or SourceOptions()
        self.deadline_s = self.options.deadline_s
        self.duration_s: float | None = None
        self.place: PlaceOnGpu | None = None
        self._player: Player | None = None
        self._pace = Pace(self.deadline_s)

    def open(self) -> None:
        """Open the file, or raise SourceLost."""
        self.close()
        if self.path.is_dir():
            raise loss("no_video", where=self.path, got="a folder", hint="name a file, or a folder of pictures")
        if self.path.is_file() and self.path.stat().st_size == 0:
            raise loss("no_video", where=self.path, got="an empty file")
        self._player = Player(self._access(), gap_s=_GAP_S)
        self.duration_s = self._player.reader.duration_s
        self._pace = Pace(self.deadline_s)

    def read(self) -> Frame:
        """The next frame, or EndOfStream."""
        player = self._player
        if player is None:
            raise SourceLost("failed", "the source was read before it was opened", where=self.path)
        played = player.next()
        while played is None:
            if player.round_pictures == 0:
                raise loss("codec", where=self.path, got="not one picture could be decoded")
            if not self.options.loop:
                raise EndOfStream
            player.again(self._access())
            played = player.next()
        if self.options.realtime:
            self._pace.wait(played.stamp)
        return played.frame(self.name)

    def _access(self) -> Access:
        # The prefix keeps FFmpeg from taking `odd:name.mp4` for a protocol.
        options = self.options
        url, shown = f"file:{self.path}", str(self.path)
        return Access(url, shown, threads=options.threads, decode=options.decode, place=self.place)

    @property
    def decoder(self) -> str | None:
        """Where pictures are decoded: cpu, or cuda and the GPU's number; known with the first of them."""
        return self._player.reader.decoder if self._player else None

    def suspects(self) -> int:
        """Pictures quarantined since the last call."""
        return self._player.suspects() if self._player else 0

    def close(self) -> None:
        """Close the file."""
        player, self._player = self._player, None
        if player is not None:
            player.stop()
