"""streamdet: video goes in, tracks and plates and metrics come out.

    import streamdet as sd
    for result in sd.run("street.mp4", engine="plates"):
        print(result.frame.stream, result.detections)
    detections = sd.load("plate-detector")(picture)

Importing it loads nothing; everything comes when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamdet.api import load, run
    from streamdet.errors import StreamdetError
    from streamdet.frames import Detections, Event, Frame, Result, Tracks
    from streamdet.picture import Picture
    from streamdet.pipeline.pipeline import Pipeline
    from streamdet.pipeline.stream import Stream
    from streamdet.sources.push import PushSource

__version__ = "0.1.0"

__all__ = [
    "Detections",
    "Event",
    "Frame",
    "Picture",
    "Pipeline",
    "PushSource",
    "Result",
    "Stream",
    "StreamdetError",
    "Tracks",
    "load",
    "run",
]

_LATER = {
    **dict.fromkeys(("Detections", "Event", "Frame", "Result", "Tracks"), "streamdet.frames"),
    "Picture": "streamdet.picture",
    "StreamdetError": "streamdet.errors",
    "Pipeline": "streamdet.pipeline.pipeline",
    "PushSource": "streamdet.sources.push",
    "Stream": "streamdet.pipeline.stream",
    "load": "streamdet.api",
    "run": "streamdet.api",
}


def __getattr__(name: str) -> object:
    if name in _LATER:
        from importlib import import_module

        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'streamdet' has no attribute {name!r}")
