"""Cameras on this machine, through V4L2."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from streamdet.errors import SourceLost
from streamdet.frames import Frame
from streamdet.sources.live import LiveSource
from streamdet.sources.options import SourceOptions
from streamdet.sources.player import Played, Player
from streamdet.sources.reader import Access

_BELIEVABLE_S = 60.0  # a device time further than this from the clock on the wall is some other clock


class CameraSource(LiveSource):
    """`/dev/videoN`, in the size and rate asked for or the driver's own.

    The driver dates each frame (`device`). V4L2 knows no deadline for a read: a camera that hangs blocks for ever, so
    the catalogue runs this source isolated, in a child that can be killed.
    """

    def __init__(self, name: str, number: int, options: SourceOptions | None = None) -> None:
        self.device = Path(f"/dev/video{number}")
        super().__init__(name, str(self.device), options or SourceOptions())

    def open(self) -> None:
        """Open the device, or raise SourceLost."""
        self._check()
        super().open()

    def _check(self) -> None:
        """FFmpeg's words for these are the same for all; ours say what to do."""
        try:
            mode = self.device.stat().st_mode
        except FileNotFoundError as error:
            present = sorted(path.name.removeprefix("video") for path in Path("/dev").glob("video*"))
            got = "cameras here: " + ", ".join(f"camera:{number}" for number in present) if present else "no camera"
            raise SourceLost("not_found", "there is no such camera", where=self.device, got=got) from error
        if not stat.S_ISCHR(mode):
            raise SourceLost("not_found", "that is not a camera", where=self.device)
        try:
            os.close(os.open(self.device, os.O_RDWR | os.O_NONBLOCK))
        except PermissionError as error:
            hint = "add this user to the group video: sudo usermod -aG video $USER, then log in again"
            raise SourceLost("unauthorised", "no permission to use the camera", where=self.device, hint=hint) from error
        except OSError as error:
            busy = error.errno == errno.EBUSY
            what = "the camera is in use by another program" if busy else "the camera cannot be opened"
            raise SourceLost("refused" if busy else "failed", what, where=self.device, got=error.strerror) from error

    def _access(self) -> Access:
        options = {"timestamps": "abs"}
        if self.options.size is not None:
            options["video_size"] = "{}x{}".format(*self.options.size)
        if self.options.fps is not None:
            options["framerate"] = f"{self.options.fps:g}"
        return Access(str(self.device), self._shown, format="v4l2", options=options)

    def _dated(self, played: Played, player: Player) -> Frame:
        frame = played.frame(self.name)
        decoded = played.decoded
        if decoded.raw_s is not None and abs(decoded.raw_s - decoded.arrived_at) < _BELIEVABLE_S:
            frame.captured_at, frame.time_source = decoded.raw_s, "device"
        else:
            frame.captured_at, frame.time_source = decoded.arrived_at, "arrival"
        return frame
