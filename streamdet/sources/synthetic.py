"""Scenes that we draw ourselves, with known truth: `synthetic:plates?seed=1&fps=25` and `synthetic:bars`."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from streamdet.errors import ConfigError, EndOfStream, MissingExtra, SourceLost
from streamdet.frames import Frame
from streamdet.picture import Picture

if TYPE_CHECKING:
    from streamdet.scenes.truth import Planes, Truth

_SCHEME = "synthetic:"


class SyntheticOptions(BaseModel):
    """What may stand behind the question mark of every synthetic scene."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(1, ge=0, description="Which scene; the same seed always gives the same pictures.")
    fps: float = Field(25.0, ge=1, le=1000, description="Frames per second.")
    size: tuple[int, int] = Field((1280, 720), description="Width and height, such as 1280x720.")
    duration: float | None = Field(None, gt=0, description="Seconds; by default 20 recorded, endless live.")
    live: bool = Field(False, description="Come in real time like a camera; frames nobody fetched in time are lost.")
    truth: Path | None = Field(None, description="File to write the truth of every frame to, one JSON object a line.")

    @field_validator("size", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return value.split("x") if isinstance(value, str) else value

    @field_validator("size")
    @classmethod
    def _in_bounds(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not all(16 <= side <= 8192 for side in value):
            raise ValueError("each side must be 16 to 8192 pixels")
        return value

    @property
    def duration_s(self) -> float | None:
        """How long it plays; None: without end."""
        return 20.0 if self.duration is None and not self.live else self.duration


class PlatesOptions(SyntheticOptions):
    """A street with cars that carry number plates."""

    density: float = Field(1.0, gt=0, le=4, description="Traffic; 1 has one to three plates in view.")
    noise: float = Field(1.0, ge=0, le=8, description="Noise of the sensor; 0 is none.")
    countries: tuple[str, ...] | None = Field(None, description="Whose plates, such as RO,DE; by default a mix.")

    @field_validator("countries", mode="before")
    @classmethod
    def _split_countries(cls, value: object) -> object:
        return tuple(value.upper().split(",")) if isinstance(value, str) else value


class BarsOptions(SyntheticOptions):
    """Coloured rectangles on grey."""

    count: int = Field(4, ge=0, le=256, description="How many rectangles.")


_SCENES: dict[str, type[SyntheticOptions]] = {"plates": PlatesOptions, "bars": BarsOptions}


def parse(uri: str) -> tuple[str, SyntheticOptions]:
    """`synthetic:SCENE?key=value&…` → the scene's name and its options, or ConfigError."""
    scene, _, query = uri.removeprefix(_SCHEME).partition("?")
    kind = _SCENES.get(scene)
    if kind is None or not uri.startswith(_SCHEME):
        raise ConfigError(
            "no such synthetic scene", where=uri, expected=" or ".join(_SCHEME + name for name in _SCENES), got=scene
        )
    pairs = parse_qsl(query, keep_blank_values=True)
    valid = ", ".join(kind.model_fields)
    for key, times in Counter(key for key, _ in pairs).items():
        if key not in kind.model_fields:
            raise ConfigError(f"unknown option of {_SCHEME}{scene}", where=uri, expected=valid, got=key)
        if times > 1:
            raise ConfigError(f"option {key} of {_SCHEME}{scene} is given twice", where=uri)
    try:
        return scene, kind.model_validate(dict(pairs))
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        meaning = kind.model_fields[key].description
        raise ConfigError(
            f"bad {key} for {_SCHEME}{scene}: {first['msg']}", where=uri, expected=meaning, got=dict(pairs).get(key)
        ) from error


class SyntheticSource:
    """Renders a scene as a recorded video of finite length, or live, in real time, like a camera.

    Frame `k` shows the scene at `k / fps` seconds, whatever was read before, so `truth(k)` can be asked at any time.
    A live one that is fetched too slowly goes on with the present: the index tells how many pictures were missed.
    """

    def __init__(self, name: str, uri: str, *, deadline_s: float = 5.0) -> None:
        self.scene, self.options = parse(uri)
        self.name = name
        self.live = self.options.live
        self.deadline_s = deadline_s
        self.duration_s = self.options.duration_s
        self._draw = _scene(self.options)
        self._next: int | None = None  # None: not open
        self._started_s = 0.0
        self._truth_file: TextIO | None = None
        self._last: tuple[int, tuple[Truth, ...]] | None = None

    @property
    def frames(self) -> int | None:
        """How many frames it has; None: without end."""
        return None if self.duration_s is None else max(round(self.duration_s * self.options.fps), 1)

    def open(self) -> None:
        """Start the scene from its beginning."""
        self.close()
        path = self.options.truth
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._truth_file = path.open("w", encoding="utf-8")
            except OSError as error:
                raise ConfigError("the truth cannot be written", where=path, got=error.strerror) from error
        self._next = 0
        self._started_s = time.monotonic()

    def read(self) -> Frame:
        """The next frame, or EndOfStream."""
        if self._next is None:
            raise SourceLost("failed", "the source was read before it was opened", where=self.name)
        index = self._wait(self._next) if self.live else self._next
        if self.frames is not None and index >= self.frames:
            raise EndOfStream
        self._next = index + 1
        planes, truth = self._draw(index / self.options.fps)
        self._last = index, truth
        self._note(index, truth)
        for plane in planes:
            plane.flags.writeable = False
        captured_at = time.time() if self.live else None
        pts_s = index / self.options.fps
        return Frame(self.name, index, pts_s, Picture(planes, "yuv420p"), 0, captured_at, "synthetic")

    def _wait(self, index: int) -> int:
        """Sleep until that frame is due; when late by more than one, the number of the frame that is due now."""
        fps = self.options.fps
        ahead_s = self._started_s + index / fps - time.monotonic()
        if ahead_s > 0:
            time.sleep(ahead_s)
            return index
        return index if -ahead_s < 1 / fps else index + int(-ahead_s * fps)

    def truth(self, index: int) -> tuple[Truth, ...]:
        """What frame `index` is known to show, nearest last."""
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        return self._draw(index / self.options.fps)[1]

    def _note(self, index: int, truth: tuple[Truth, ...]) -> None:
        if self._truth_file is None:
            return
        width, height = self.options.size
        record = {
            "schema": "streamdet.truth/1",
            "stream": self.name,
            "frame": index,
            "pts_s": index / self.options.fps,
            "width": width,
            "height": height,
            "objects": [_record(entry) for entry in truth],
        }
        self._truth_file.write(json.dumps(record) + "\n")

    def suspects(self) -> int:
        """None ever: nothing is damaged."""
        return 0

    def close(self) -> None:
        """Stop, and finish the truth file."""
        self._next = None
        stream, self._truth_file = self._truth_file, None
        if stream is not None:
            stream.close()


def _record(entry: Truth) -> dict[str, Any]:
    return {
        "truth_id": entry.truth_id,
        "class": entry.name,
        "xyxy": [round(edge, 2) for edge in entry.xyxy],
        "corners": [[round(x, 2), round(y, 2)] for x, y in entry.corners],
        "visible_ratio": round(entry.visible_ratio, 3),
        "text": entry.text,
        "format": entry.format_key,
    }


def _scene(options: SyntheticOptions) -> Callable[[float], tuple[Planes, tuple[Truth, ...]]]:
    """What draws the scene at a moment in seconds."""
    if isinstance(options, PlatesOptions):
        try:
            from streamdet.scenes.planes import yuv420p
            from streamdet.scenes.street import COUNTRIES, Street
        except ImportError as error:  # pragma: no cover - a base dependency
            raise MissingExtra("opencv", None, "drawing synthetic:plates") from error
        unknown = set(options.countries or ()) - set(COUNTRIES)
        if unknown:
            raise ConfigError("no plates of these countries", expected=",".join(COUNTRIES), got=",".join(unknown))
        street = Street(
            options.seed,
            options.size,
            density=options.density,
            noise=options.noise,
            countries=options.countries or COUNTRIES,
        )

        def draw(t_s: float) -> tuple[Planes, tuple[Truth, ...]]:
            scene = street.frame(t_s)
            return yuv420p(scene.bgr), scene.truth

        return draw
    assert isinstance(options, BarsOptions)
    from streamdet.scenes.bars import Bars

    return Bars(options.seed, options.size, count=options.count).frame
