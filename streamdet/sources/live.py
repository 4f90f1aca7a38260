"""What network streams and cameras have in common: they are opened again and again, and never end well."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

from streamdet.errors import EndOfStream, SourceLost
from streamdet.frames import Frame
from streamdet.sources.classify import loss
from streamdet.sources.options import SourceOptions
from streamdet.sources.player import Played, Player
from streamdet.sources.reader import Access, PlaceOnGpu

_GAP_S = 10.0  # between two frames of a live stream; a longer silence is another scene


class LiveSource(ABC):
    """Opens an Access as often as it is asked to; the kinds of live source say which, and date the frames."""

    def __init__(self, name: str, shown: str, options: SourceOptions) -> None:
        self.name = name
        self.live = True
        self.options = options
        self.deadline_s = options.deadline_s
        self.duration_s: float | None = None
        self.place: PlaceOnGpu | None = None
        self._shown = shown
        self._player: Player | None = None

    def open(self) -> None:
        """Connect, or raise SourceLost."""
        self.close()
        self._player = Player(self._limited(self._access()), gap_s=_GAP_S)

    def read(self) -> Frame:
        """The next frame; SourceLost when the stream broke off; EndOfStream where a recording was sent."""
        player = self._player
        if player is None:
            raise SourceLost("failed", "the source was read before it was opened", where=self._shown)
        played = player.next()
        if played is not None:
            return self._dated(played, player)
        if self.live:
            raise loss("ended", where=self._shown)
        raise EndOfStream

    @property
    def decoder(self) -> str | None:
        """Where pictures are decoded: cpu, or cuda and the GPU's number; known with the first of them."""
        return self._player.reader.decoder if self._player else None

    def suspects(self) -> int:
        """Pictures quarantined since the last call."""
        return self._player.suspects() if self._player else 0

    def close(self) -> None:
        """Disconnect."""
        player, self._player = self._player, None
        if player is not None:
            player.stop()

    def _limited(self, access: Access) -> Access:
        options = self.options
        return replace(
            access,
            threads=options.threads,
            place=self.place,
            remote=True,
            deadline_s=options.deadline_s,
            key_frame_s=options.key_frame_s,
        )

    @abstractmethod
    def _access(self) -> Access: ...

    @abstractmethod
    def _dated(self, played: Played, player: Player) -> Frame: ...
