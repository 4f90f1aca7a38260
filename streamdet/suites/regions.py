"""Regions, then a network that looks at them: how R-CNN and Fast R-CNN run on a stream.

A picture is laid into the network's input; what proposes boxes searches it there; picture and boxes go through one
graph, suppression included. Both take their time, the search as well as the network: this is how it was done.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamdet.boxes import Boxes, clip
from streamdet.datasets.pictures import Rgb
from streamdet.errors import EngineMismatch, InferenceFailed, ManifestInvalid, MissingExtra
from streamdet.frames import Detections
from streamdet.infer.onnx import errors_of, first_line
from streamdet.infer.preprocess import Letterbox
from streamdet.infer.tail import Arrays
from streamdet.manifest import EngineInput
from streamdet.picture import Picture
from streamdet.proposals.catalogue import open_proposer
from streamdet.proposals.on_input import regions_on
from streamdet.suites.program import Setup

FAMILY = "regions"
MODEL = "model.onnx"
PIXELS, REGIONS = "pixels", "regions"  # its inputs: u8 [B, 3, H, W], f32 [B, R, 4]


class RegionOptions(BaseModel):
    """What the shelf says of such a detector besides its network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    proposals: str = Field(description="Where regions come from: METHOD?option=value&…")
    regions: int = Field(ge=1, description="R: so many are looked at in a picture, the likeliest first.")
    size: tuple[int, int] = Field(description="Width and height of the network's input.")


class RegionDetector:
    """A Program."""

    def __init__(self, setup: Setup) -> None:
        try:
            options = RegionOptions.model_validate(setup.procedure.options)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ManifestInvalid(f"a detector of regions: {first['msg']}", where=where, got=first["input"]) from error
        self.options = options
        self._classes = setup.procedure.classes
        self._proposer = open_proposer(options.proposals)
        self._network = RegionNetwork(setup, options.regions)
        width, height = options.size
        self._letterbox = Letterbox(EngineInput(name=PIXELS, size=options.size))
        self._pixels = np.zeros((1, 3, height, width), np.uint8)

    def __call__(self, rgb: Rgb) -> Detections:
        placement = self._letterbox.write(Picture((np.ascontiguousarray(rgb),), "rgb24"), self._pixels[0])
        regions = regions_on(self._pixels[0], placement, self._proposer, self.options.regions)
        arrays = self._network.run(self._pixels, regions)
        n = int(arrays["count"][0])
        return Detections(
            clip(placement.to_frame(arrays["xyxy"][0, :n]), *placement.frame_size),
            arrays["score"][0, :n].copy(),
            arrays["class_id"][0, :n].copy(),
            self._classes,
            truncated=int(arrays["truncated"][0]),
        )

    def close(self) -> None:
        """Let the network go."""
        self._network.close()


class RegionNetwork:
    """The graph on ONNX Runtime's CPU."""

    def __init__(self, setup: Setup, regions: int) -> None:
        try:
            import onnxruntime
        except ImportError as error:  # pragma: no cover - a base dependency
            raise MissingExtra("onnxruntime", None, "running a network") from error
        self._errors = errors_of(onnxruntime)
        self._name = setup.procedure.family
        self._regions = np.zeros((1, regions, 4), np.float32)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setup.threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = setup.file(MODEL)
        try:
            self._runtime: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except self._errors as error:
            raise EngineMismatch("ONNX Runtime cannot load the model", where=path, got=first_line(error)) from error
        self._outputs = [node.name for node in self._runtime.get_outputs()]

    def run(self, pixels: npt.NDArray[np.uint8], regions: Boxes) -> Arrays:
        """One picture u8 [1, 3, H, W] and its regions [n, 4], n ≤ R → a detector's arrays; see infer.contract."""
        if self._runtime is None:
            raise InferenceFailed("the network is closed", where=self._name)
        self._regions[:] = 0
        self._regions[0, : len(regions)] = regions
        try:
            found = self._runtime.run(self._outputs, {PIXELS: pixels, REGIONS: self._regions})
        except self._errors as error:
            raise InferenceFailed("ONNX Runtime failed", where=self._name, got=first_line(error)) from error
        return dict(zip(self._outputs, found, strict=True))

    def close(self) -> None:
        """Let it go."""
        self._runtime = None
