"""GraphWriter: writes ONNX nodes like formulas, each line one operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# What one array is called while the graph is written.
Tensor = str

# Every tensor of the foreign network starts with it in the grafted graph, so that no name collides.
NETWORK = "net/"


class GraphWriter:
    """Collects the nodes and constants that are put in front of and behind a foreign network.

    Every tensor it makes starts with its prefix, unless it is given a name of its own.
    Only operators that ONNX Runtime, OpenVINO and TensorRT 10 and 11 all know are offered by name.
    """

    def __init__(self, opset: int, prefix: str = "sd/") -> None:
        self.opset = opset
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._prefix = prefix
        self._count = 0
        self._known: dict[tuple[str, tuple[int, ...], bytes], Tensor] = {}

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> Tensor:
        """An array that the graph carries; equal ones are stored once."""
        from onnx import numpy_helper

        array = np.asarray(values, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"{self._prefix}constant_{len(self._known)}"
            self.constants.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def foreign(self, name: str) -> Tensor:
        """What the network's own input or output is called inside the grafted graph."""
        return NETWORK + name

    def integers(self, *values: int) -> Tensor:
        """A vector of int64, as the shape arguments of operators want it."""
        return self.constant(values, np.int64)

    def op(self, kind: str, *inputs: Tensor, name: str | None = None, **attributes: object) -> Tensor:
        """One node with one output, called `name` where other parts must find it."""
        return self.op_many(kind, inputs, 1, [name] if name else None, **attributes)[0]

    def op_many(
        self,
        kind: str,
        inputs: Sequence[Tensor],
        outputs: int,
        names: Sequence[str] | None = None,
        **attributes: object,
    ) -> list[Tensor]:
        """One node with several outputs."""
        from onnx import helper

        self._count += 1
        label = f"{self._prefix}{kind}_{self._count}"
        made = list(names) if names else [label if i == 0 else f"{label}:{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), made, name=label, **attributes))
        return made

    def cast(self, tensor: Tensor, dtype: npt.DTypeLike, name: str | None = None) -> Tensor:
        """The same values as another type."""
        from onnx import helper

        return self.op("Cast", tensor, name=name, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def slice(self, tensor: Tensor, axis: int, start: int, stop: int, name: str | None = None) -> Tensor:
        """tensor[..., start:stop, ...] along one axis."""
        bounds = [self.integers(start), self.integers(stop), self.integers(axis)]
        return self.op("Slice", tensor, *bounds, name=name)

    def split(self, tensor: Tensor, axis: int, *lengths: int) -> list[Tensor]:
        """The tensor in pieces along one axis. Preferred to several slices, which OpenVINO 2026.4 fuses wrongly."""
        return self.op_many("Split", [tensor, self.integers(*lengths)], len(lengths), axis=axis)

    def column(self, tensor: Tensor, index: int) -> Tensor:
        """[..., n] → [..., 1]: one entry of the last axis, the axis kept."""
        return self.slice(tensor, -1, index, index + 1)

    def unsqueeze(self, tensor: Tensor, axis: int, name: str | None = None) -> Tensor:
        """A new axis of length one."""
        return self.op("Unsqueeze", tensor, self.integers(axis), name=name)

    def squeeze(self, tensor: Tensor, axis: int, name: str | None = None) -> Tensor:
        """The axis of length one goes."""
        return self.op("Squeeze", tensor, self.integers(axis), name=name)

    def reshape(self, tensor: Tensor, *shape: int, name: str | None = None) -> Tensor:
        """0 keeps an axis, −1 takes what is left."""
        return self.op("Reshape", tensor, self.integers(*shape), name=name)

    def reduce(self, kind: str, tensor: Tensor, axis: int, keepdims: bool = False, name: str | None = None) -> Tensor:
        """ReduceMax or ReduceSum along one axis; over the opsets, their axes moved from an attribute to an input."""
        if self.opset >= (13 if kind == "ReduceSum" else 18):
            return self.op(kind, tensor, self.integers(axis), name=name, keepdims=int(keepdims))
        return self.op(kind, tensor, name=name, axes=[axis], keepdims=int(keepdims))
