"""EngineManifest: what `manifest.json` beside an engine's model says, and nothing the code would have to guess."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from streamdet.boxes import Anchor, FitMode, Placement, Rounding, place
from streamdet.errors import ManifestInvalid

SCHEMA: Literal["streamdet.engine/1"] = "streamdet.engine/1"

Precision = Literal["fp32", "fp16", "int8-sym", "int8-u8"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fit(_Part):
    """How a picture is laid into the input."""

    mode: FitMode = "letterbox"
    anchor: Anchor = "centre"
    pad: Annotated[int, Field(ge=0, le=255)] = 114
    rounding: Rounding = "round"


class EngineInput(_Part):
    """The one input: uint8 [batch, channels, height, width]."""

    name: str
    size: tuple[Annotated[int, Field(ge=1, le=16384)], Annotated[int, Field(ge=1, le=16384)]]  # width, height
    colour: Literal["rgb", "bgr", "gray"] = "rgb"
    fit: Fit = Fit()
    batch: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (1, 1)  # smallest, largest

    @property
    def channels(self) -> int:
        """Planes of the input."""
        return 1 if self.colour == "gray" else 3

    def placement(self, frame_size: tuple[int, int]) -> Placement:
        """Where a frame of this size lies inside the input."""
        return place(frame_size, self.size, self.fit.mode, self.fit.anchor, self.fit.rounding)


class Nms(_Part):
    """What the suppression inside the graph was built with."""

    candidates: Annotated[int, Field(ge=1)] = 512  # K
    max_detections: Annotated[int, Field(ge=1)] = 300  # D
    iou: Annotated[float, Field(gt=0, le=1)] = 0.45
    floor: Annotated[float, Field(ge=0, lt=1)] = 0.001
    iterations: Annotated[int, Field(ge=1)] = 16  # T
    end_to_end: bool = False  # the network has no duplicates: nothing is suppressed


class EngineFile(_Part):
    """One model file and the runtimes that passed the check with it."""

    path: str
    precision: Precision = "fp32"
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    proven_on: tuple[str, ...] = ()


class Provenance(_Part):
    """Where an engine comes from."""

    source: str = ""
    licence: str = ""
    recipe: str = ""
    data: str = ""
    commit: str = ""
    scores: dict[str, float] = {}


class EngineManifest(_Part):
    """An engine: one network behind one contract; what its outputs mean is told at infer.contract.Session.

    A reader's input is one plate pulled straight, whole and `stretch`ed, whether it has one line or two. Class i of its
    `glyph` and `sequence` is `alphabet[i - 1]`, class 0 nothing: so both have one channel more than the alphabet.
    """

    schema_: Annotated[Literal["streamdet.engine/1"], Field(alias="schema")] = SCHEMA
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    kind: Literal["detector", "reader", "segmenter"]
    family: str
    input: EngineInput
    outputs: dict[str, str]  # meaning → name in the graph
    classes: tuple[str, ...] = ()
    alphabet: str = ""
    keypoints: tuple[str, ...] = ()
    nms: Nms | None = None
    score: Annotated[float, Field(ge=0, le=1)] = 0.25  # the run-time threshold where the user names none
    files: Annotated[tuple[EngineFile, ...], Field(min_length=1)]
    provenance: Provenance = Provenance()

    @model_validator(mode="after")
    def _outputs_fit_the_kind(self) -> EngineManifest:
        needed = {
            "detector": {"count", "xyxy", "score", "class_id"},
            "reader": {"glyph", "core", "line"},
            "segmenter": {"mask"},
        }
        missing = needed[self.kind] - self.outputs.keys()
        if missing:
            raise ValueError(f"a {self.kind} must name the outputs {sorted(missing)}")
        if self.kind in ("detector", "segmenter") and not self.classes:
            raise ValueError(f"a {self.kind} must list its classes")
        if self.kind == "reader" and (not self.alphabet or len(set(self.alphabet)) < len(self.alphabet)):
            raise ValueError("a reader must name its alphabet, each character once")
        return self

    def file(self, precision: Precision | None = None) -> EngineFile:
        """The file of that precision; the first one listed where none is asked for."""
        for candidate in self.files:
            if precision is None or candidate.precision == precision:
                return candidate
        raise ManifestInvalid(
            f"engine {self.name} has no {precision} file",
            expected=", ".join(candidate.precision for candidate in self.files),
            got=precision,
        )


class Procedure(_Part):
    """A detector that is several steps instead of one network: a program of this package, and what it learnt."""

    family: str  # which program
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    score: Annotated[float, Field(ge=0, le=1)] = 0.25  # the run-time threshold where the user names none
    longest_px: Annotated[int, Field(ge=16)] | None = None  # larger pictures are shrunk to it before the first step
    options: dict[str, Any] = {}  # the program's own
    files: Annotated[tuple[EngineFile, ...], Field(min_length=1)]  # all of them are used


class SuiteManifest(_Part):
    """Several steps that every verb takes like one engine: detect, then read, then vote."""

    schema_: Annotated[Literal["streamdet.engine/1"], Field(alias="schema")] = SCHEMA
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    kind: Literal["suite"]
    detect: str | Procedure  # an engine beside the suite, or steps of its own
    read: str | None = None
    on: tuple[str, ...] = ()  # classes of the detector that are read; none named: all
    vote: dict[str, object] | None = None
    provenance: Provenance = Provenance()

    @property
    def engines(self) -> tuple[str, ...]:
        """The names of the engines that it is made of."""
        return tuple(part for part in (self.detect, self.read) if isinstance(part, str))

    @property
    def steps(self) -> tuple[str, ...]:
        """What it does in order: engines by name, a procedure by its family."""
        first = self.detect if isinstance(self.detect, str) else self.detect.family
        return (first,) if self.read is None else (first, self.read)


def load_manifest(folder: Path) -> EngineManifest | SuiteManifest:
    """Read and validate `folder/manifest.json`; the model file is not touched."""
    path = folder / "manifest.json"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestInvalid("manifest.json cannot be read", where=path, got=error) from error
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        raise ManifestInvalid(
            "manifest.json is not JSON", where=f"{path}:{error.lineno}:{error.colno}", got=error.msg
        ) from error
    if not isinstance(fields, dict):
        raise ManifestInvalid("manifest.json does not hold an object", where=path, got=type(fields).__name__)
    if fields.get("schema") != SCHEMA:
        raise ManifestInvalid(
            "manifest.json has another schema",
            where=path,
            expected=SCHEMA,
            got=fields.get("schema"),
            hint="import the model again with this version: streamdet engine import …",
        )
    kind: type[EngineManifest] | type[SuiteManifest] = (
        SuiteManifest if fields.get("kind") == "suite" else EngineManifest
    )
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise ManifestInvalid(
            f"manifest.json is invalid ({error.error_count()} in all): {first['msg']}",
            where=f"{path}: {'.'.join(str(part) for part in first['loc']) or 'top level'}",
            got=repr(first["input"])[:120],
        ) from error


def dump_manifest(manifest: EngineManifest | SuiteManifest) -> str:
    """The text of manifest.json, stable to the byte."""
    return json.dumps(manifest.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False) + "\n"


def sha256_of(path: Path) -> str:
    """Of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
