"""What a source promises."""

from __future__ import annotations

from typing import Protocol

from streamdet.frames import Frame


class Source(Protocol):
    """Reads one stream of frames.

    Protocol, as the shell uses it: `open`, then `read` until it raises, then `close`; after SourceLost it may `open`
    again, any number of times. One thread makes all of these calls. A source neither retries, nor counts, nor logs,
    nor starts threads that outlive `close`.

    * `open` connects, or raises SourceLost with a cause. For a recorded source SourceLost is final.
    * `read` returns the next Frame, raises EndOfStream (finished for good, and again when asked again) or SourceLost
      (broke off). The end of a live URL is a loss. A blocked `open` or `read` ends within `deadline_s` of silence; a
      live stream that sends, but no key frame yet, may take longer (`key_frame_s`).
    * `live` may change at `open`, where only the other side knows (an HLS playlist with an end is a recording).
    * A frame is a decoded picture: never invented, never repeated. After each `open` the first one is a key frame.
      `pts_s` strictly increases within `epoch`, which counts discontinuities from 0 at each `open`; so does `index`,
      from 0 in each epoch, counting pictures that were quarantined too.
    * A source that decodes video may tell where in `decoder`: cpu, or cuda and the GPU's number.
    * `close` is idempotent, legal in any state, also after a failed `open`, and gives back everything.
    """

    name: str
    live: bool
    deadline_s: float
    duration_s: float | None  # of a recorded source, where it is known once open

    def open(self) -> None: ...

    def read(self) -> Frame: ...

    def close(self) -> None: ...

    def suspects(self) -> int:
        """Frames quarantined since the last call because the decoder marked them damaged or before the first key."""
        ...
