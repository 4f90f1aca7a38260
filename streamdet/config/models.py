"""The configuration as typed records, composed of the options that each station defines for itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from streamdet.plates.privacy import Privacy
from streamdet.plates.vote import VoteOptions
from streamdet.sinks.catalogue import AnySinkOptions
from streamdet.sources.options import SourceOptions
from streamdet.tracking.catalogue import TrackerOptions

Score = Annotated[float, Field(ge=0, le=1)]
Point = tuple[float, float]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DetectOptions(_Section):
    """Which engine looks at the frames, and on what."""

    engine: Annotated[str, Field(description="An engine's name on the shelf, or the path of its folder.")]
    backend: Annotated[str, Field(description="auto, or one runtime: see `streamdet engine show`.")] = "auto"
    precision: Annotated[
        Literal["fp32", "fp16", "bf16", "int8-sym", "int8-u8"] | None,
        Field(description="One of the engine's precisions; the backend's usual one where not given."),
    ] = None


def _one_word(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class ReadOptions(_Section):
    """Which reader looks at the crops of which objects."""

    engine: Annotated[str, Field(description="A reader's name on the shelf, or the path of its folder.")]
    on: Annotated[
        tuple[str, ...], BeforeValidator(_one_word), Field(description="Objects of these classes are read; empty: all.")
    ] = ()
    backend: Annotated[str, Field(description="auto, or one runtime: see `streamdet engine show`.")] = "auto"
    precision: Annotated[
        Literal["fp32", "fp16", "bf16", "int8-sym", "int8-u8"] | None,
        Field(description="One of the engine's precisions; the backend's usual one where not given."),
    ] = None
    vote: Annotated[VoteOptions, Field(description="How readings of one plate become one text.")] = VoteOptions()
    crops_per_frame: Annotated[
        int,
        Field(ge=1, le=64, description="Crops read in one frame, the neediest first; others wait, and are counted."),
    ] = 4
    deadline_s: Annotated[
        float, Field(gt=0, description="A frame waits no longer for its crops: its texts stay as they were.")
    ] = 1.0


class NoTracker(_Section):
    """Objects are not followed."""

    kind: Literal["none"]


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


def _kind_alone(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


Detect = Annotated[tuple[DetectOptions, ...], Field(min_length=1), BeforeValidator(_one_or_many)]
Read = Annotated[tuple[ReadOptions, ...], BeforeValidator(_one_or_many)]
Track = Annotated[Annotated[NoTracker | TrackerOptions, Field(discriminator="kind")], BeforeValidator(_kind_alone)]


class Selection(_Section):
    """Which objects reach the records."""

    score: Annotated[
        Score | None,
        Field(description="Objects of this score and more are recorded; the engine's own where not given."),
    ] = None
    class_scores: Annotated[dict[str, Score], Field(description="A threshold of its own for a class.")] = {}
    classes: Annotated[
        tuple[str, ...] | None, Field(min_length=1, description="Only objects of these classes; all where not given.")
    ] = None
    ignore: Annotated[
        tuple[Annotated[tuple[Point, ...], Field(min_length=3)], ...],
        Field(description="Polygons in frame pixels; objects centred in one are passed over."),
    ] = ()


class StreamOptions(SourceOptions, Selection):
    """One stream: where it comes from, and what differs from the defaults above the streams."""

    source: Annotated[str, Field(description="A path, a glob, a URL, camera:0 or synthetic:plates.")]
    detect: Annotated[Detect | None, Field(description="An engine, or several, for this stream.")] = None
    track: Annotated[Track | None, Field(description="A tracker for this stream, or none.")] = None
    read: Annotated[Read | None, Field(description="Readers of this stream; []: none, also of a suite.")] = None
    vote: Annotated[VoteOptions | None, Field(description="What differs from the readers' own votes here.")] = None
    camera_motion: Annotated[bool, Field(description="The camera moves: measure how, for the tracker.")] = False
    priority: Annotated[int, Field(ge=1, le=100, description="Turns at the detector, against other streams.")] = 1
    max_fps: Annotated[float | None, Field(gt=0, description="Frames beyond this rate are dropped.")] = None
    max_frames: Annotated[int | None, Field(ge=1, description="End after so many frames.")] = None
    stale_s: Annotated[float, Field(gt=0, description="A live frame older than this is not looked at.")] = 0.5
    frozen_s: Annotated[float, Field(gt=0, description="A live picture unchanged for so long is reported.")] = 10.0
    answer_deadline_s: Annotated[
        float, Field(gt=0, description="A frame without an answer for so long is unknown.")
    ] = 10.0
    required: Annotated[bool, Field(description="Readiness and the exit code depend on this stream.")] = True


class MetricsOptions(_Section):
    """The HTTP server for Prometheus and for health checks."""

    port: Annotated[int, Field(ge=0, le=65535, description="0 takes any free port and says which.")] = 9108
    host: Annotated[str, Field(description="The address to listen on.")] = "0.0.0.0"


class LimitOptions(_Section):
    """The pipeline's own patience."""

    drain_s: Annotated[float, Field(gt=0, description="From a stop signal to the end, at most.")] = 10.0
    give_up_s: Annotated[
        float,
        Field(gt=0, description="A sink that fails for so long is detached; recorded streams wait for it until then."),
    ] = 30.0
    inference_deadline_s: Annotated[
        float, Field(gt=0, description="A batch that runs for longer is unknown, its session replaced.")
    ] = 5.0
    files_at_once: Annotated[int, Field(ge=1, le=64, description="Videos of a glob that play side by side.")] = 2


class RunOptions(Selection):
    """A whole run."""

    streams: Annotated[dict[str, StreamOptions], Field(description="The streams by name.")]
    detect: Annotated[Detect | None, Field(description="The engine, or several, of every stream.")] = None
    track: Annotated[Track | None, Field(description="The tracker of every stream; ByteTrack where not given.")] = None
    read: Annotated[
        Read | None, Field(description="Readers, on the crops of named classes; those of the suite where not given.")
    ] = None
    vote: Annotated[VoteOptions | None, Field(description="What differs from the readers' own votes.")] = None
    privacy: Annotated[
        Privacy,
        Field(
            description="off: texts as read; hash: a keyed hash in their place; blur: plates blurred in pictures too."
        ),
    ] = "off"
    privacy_key_file: Annotated[
        Path | None, Field(description="The key of the hashes; that of $STREAMDET_PLATE_KEY where not given.")
    ] = None
    sinks: Annotated[tuple[AnySinkOptions, ...], Field(description="Where results and events go.")] = ()
    metrics: Annotated[MetricsOptions | None, Field(description="No server where not given.")] = None
    limits: LimitOptions = LimitOptions()
    resume: Annotated[
        Path | None, Field(description="A list of finished files: they are skipped, and the others added when done.")
    ] = None

    @model_validator(mode="after")
    def _sinks_have_names_of_their_own(self) -> RunOptions:
        names = [sink.name or sink.kind for sink in self.sinks]
        twice = sorted({name for name in names if names.count(name) > 1 and name})
        for name in twice:
            if [sink.name for sink in self.sinks].count(name) > 1:
                raise ValueError(f"two sinks have the name {name}")
        return self
