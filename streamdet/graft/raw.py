"""A stranger's ONNX file: opened, judged, and run as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import MissingExtra, ModelRefused

OPSET_OLDEST = 9  # before it, Resize, Slice and the like cannot be carried over safely
SIZE_LIMIT = 2**31  # protobuf holds no more, and every runtime reads the whole graph as one message
REGIONS = "regions"  # a second input of this name: boxes from outside, f32 [B, R, 4], pixels of the input
_DOMAINS = ("", "ai.onnx")


def load_model(path: Path) -> Any:
    """The ModelProto of an ONNX file, refused with one clear message where it can never become an engine."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx import inliner

    _check_file(path)
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise ModelRefused(
            "the file is not an ONNX model, or it is cut off", where=path, got=error, hint="compare its size and hash"
        ) from error
    if not model.graph.node or not model.opset_import:
        raise ModelRefused("the file holds no network", where=path, expected="an ONNX graph", got="an empty one")
    _check_external(model, path)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelRefused("the weights beside the file cannot be read", where=path, got=error) from error
    model = inliner.inline_local_functions(model)  # newer exporters wrap standard operators in functions
    check_model(model, path)
    return model


def load_engine_graph(path: Path) -> Any:
    """The ModelProto of one of our own engines, whose hash the shelf has verified."""
    import onnx

    return onnx.load(str(path))


def check_model(model: Any, where: object) -> None:
    """Refuse what no runtime, or not every runtime, could run."""
    import onnx

    opset = opset_of(model)
    if opset < OPSET_OLDEST:
        raise ModelRefused(
            "the model's operator set is too old",
            where=where,
            expected=f"opset {OPSET_OLDEST} or newer",
            got=f"opset {opset}",
            hint="export it again with opset_version=17",
        )
    foreign = Counter(f"{node.domain}.{node.op_type}" for node in all_nodes(model.graph) if node.domain not in _DOMAINS)
    if foreign:
        raise ModelRefused(
            "the model uses operators outside the ONNX standard",
            where=where,
            expected="standard operators only",
            got=", ".join(f"{name} ({count} times)" for name, count in sorted(foreign.items())),
            hint="export it without plugins and without its own NMS",
        )
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelRefused("the model is not valid ONNX", where=where, got=str(error).splitlines()[0]) from error
    for name, array in weights(model.graph):
        if array.dtype.kind == "f" and np.isnan(array).any():
            count = int(np.isnan(array).sum())
            raise ModelRefused("the model's weights hold NaN", where=where, got=f"{count} of {array.size} in {name}")


def _check_file(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelRefused("the model cannot be read", where=path, got=error.strerror) from error
    if path.is_dir():
        raise ModelRefused("the model is a folder", where=path, expected="an ONNX file")
    if size == 0:
        raise ModelRefused("the model file is empty", where=path, got="0 bytes")
    if size >= SIZE_LIMIT:
        raise ModelRefused("the model is too large", where=path, expected="less than 2 GB", got=f"{size:,} bytes")


def _check_external(model: Any, path: Path) -> None:
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    total = 0
    for tensor in model.graph.initializer:
        if not uses_external_data(tensor):
            continue
        beside = path.parent / ExternalDataInfo(tensor).location
        if not beside.is_file():
            raise ModelRefused(
                "the model's weights lie in a second file that is missing",
                where=path,
                expected=beside.name,
                hint="put it beside the model, or export the model as one file",
            )
        total += int(np.prod(tensor.dims)) * 4
    if total >= SIZE_LIMIT:
        raise ModelRefused(
            "the model is too large", where=path, expected="less than 2 GB", got=f"about {total:,} bytes"
        )


def opset_of(model: Any) -> int:
    """Version of the standard operators."""
    return int(max((entry.version for entry in model.opset_import if entry.domain in _DOMAINS), default=0))


def all_nodes(graph: Any) -> Iterator[Any]:
    """Every node, those inside of If and Loop too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from all_nodes(attribute.g)
            for inner in attribute.graphs:
                yield from all_nodes(inner)


def weights(graph: Any) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Every constant of the graph with its name."""
    from onnx import numpy_helper

    for tensor in graph.initializer:
        yield tensor.name, numpy_helper.to_array(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "value" and attribute.HasField("t"):
                yield node.output[0], numpy_helper.to_array(attribute.t)


@dataclass(frozen=True)
class Face:
    """One input or output as the file declares it: None where an axis has no fixed length."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]


def channels_last(picture: Face) -> bool:
    """Whether the network reads [B, H, W, 3] instead of [B, 3, H, W]."""
    return len(picture.shape) == 4 and picture.shape[3] == 3 and picture.shape[1] != 3


def inputs_of(model: Any) -> list[Face]:
    """What the network wants fed; old files list their weights as inputs too."""
    stored = {tensor.name for tensor in model.graph.initializer}
    return [_face(info) for info in model.graph.input if info.name not in stored]


def regions_among(faces: Iterable[Face]) -> Face | None:
    """The input for boxes from outside, where the network has one."""
    return next((face for face in faces if face.name == REGIONS and len(face.shape) == 3), None)


def outputs_of(model: Any) -> list[Face]:
    """What the network declares to give."""
    return [_face(info) for info in model.graph.output]


def _face(info: Any) -> Face:
    from onnx import helper

    kind = info.type.tensor_type
    dims = tuple(int(d.dim_value) if d.HasField("dim_value") and d.dim_value > 0 else None for d in kind.shape.dim)
    return Face(info.name, np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type)), dims)


class Runner:
    """A ModelProto on ONNX Runtime's CPU, for probing and proving; not for streams."""

    def __init__(self, model: Any, where: object, outputs: list[str] | None = None) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtra("onnxruntime", None, "running a model") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong is raised
        options.intra_op_num_threads = 2
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._where = where
        self._names = outputs
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except _runtime_failures() as error:
            raise ModelRefused("ONNX Runtime cannot load the model", where=where, got=_first_line(error)) from error
        self.output_names = [entry.name for entry in self._session.get_outputs()]

    def run(self, feeds: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Named arrays in, named arrays out."""
        names = self._names or self.output_names
        try:
            return dict(zip(names, self._session.run(names, feeds), strict=True))
        except _runtime_failures() as error:
            raise ModelRefused("the model fails when it runs", where=self._where, got=_first_line(error)) from error


def _runtime_failures() -> tuple[type[BaseException], ...]:
    """ONNX Runtime's own exceptions stand directly under Exception, one class per status."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*own, RuntimeError, ValueError)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
