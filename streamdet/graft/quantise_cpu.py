"""INT8 for CPUs: unsigned activations, signed weights per channel, in the form that ONNX Runtime and OpenVINO fuse.

A CPU gains nothing from a rounded input alone: only where a convolution's output is rounded too, and all that stands
between it and the next one (joining, adding, pooling, enlarging) works on integers, is the network faster. So regions
are rounded here, not single convolutions. Outside of them stay the first convolution, which sees pixels, the last ones
of every head, and everything that decodes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import ModelRefused
from streamdet.graft.calibration import Spread, calibrate
from streamdet.graft.casts import PRODUCTS
from streamdet.graft.quantise import inner_convolutions
from streamdet.manifest import EngineManifest

# What may stand between two rounded convolutions.
BETWEEN = {"Relu", "Clip", "Sigmoid", "Mul", "Add", "Concat", "Split", "MaxPool", "AveragePool", "Resize"}


def unsigned(model: Any, manifest: EngineManifest, pictures: npt.NDArray[np.uint8]) -> Any:
    """A copy of an engine's fp32 graph whose inner regions compute in int8 on a CPU."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    chosen = inner_region(model)
    if not any(node.op_type == "Conv" for node in chosen):
        raise ModelRefused(
            "there is nothing to quantise",
            where=manifest.name,
            expected="convolutions that lead to other ones",
            got=f"{sum(node.op_type == 'Conv' for node in model.graph.node)} convolutions in all",
        )
    tensors = _activations(model, chosen)
    spreads = calibrate(model, tensors, manifest.input.name, pictures, Spread)
    ranges = {name: spread.limits() for name, spread in spreads.items()}
    copy = type(model)()
    copy.CopyFrom(model)
    quantizer = QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
        nodes_to_quantize=[node.name for node in chosen],
        nodes_to_exclude=[],
        op_types_to_quantize=sorted({node.op_type for node in chosen}),
        extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    made = quantizer.model.model
    made.producer_name = model.producer_name
    made.producer_version = model.producer_version
    onnx.checker.check_model(made, full_check=True)
    return made


def inner_region(model: Any) -> list[Any]:
    """Inner convolutions that lead to a product without a detour, and what stands between, in the graph's order."""
    maker = {name: node for node in model.graph.node for name in node.output}
    convolutions = {node.name: node for node in inner_convolutions(model)}
    waiting = [node.input[0] for node in model.graph.node if node.op_type in PRODUCTS]
    reached: dict[str, Any] = {}  # what leads to a product through nothing but what may stand between
    while waiting:
        node = maker.get(waiting.pop())
        if node is None or node.name in reached:
            continue
        reached[node.name] = node
        if node.op_type in BETWEEN:
            waiting += list(node.input)
    kept = {name for name in reached if name in convolutions}
    return [node for node in model.graph.node if node.name in kept | _between(model, kept, reached)]


def _between(model: Any, kept: set[str], reached: dict[str, Any]) -> set[str]:
    """Of what was reached, that which reads rounded tensors only: it can work on integers."""
    constants = {tensor.name for tensor in model.graph.initializer}
    rounded: set[str] = set()
    found: set[str] = set()
    for node in model.graph.node:  # makers stand before users
        if node.name in kept:
            rounded |= set(node.output)
        elif node.name in reached and node.op_type in BETWEEN:
            steering = node.op_type in ("Resize", "Split", "Clip")
            read = node.input[:1] if steering else [name for name in node.input if name not in constants]
            if read and all(name in rounded for name in read):
                found.add(node.name)
                rounded |= set(node.output)
    return found


def _activations(model: Any, chosen: list[Any]) -> list[str]:
    """Every tensor that the chosen nodes read or make, apart from constants."""
    constants = {tensor.name for tensor in model.graph.initializer}
    names = {name for node in chosen for name in (*node.input, *node.output) if name and name not in constants}
    steering = {name for node in chosen if node.op_type in ("Resize", "Split", "Clip") for name in node.input[1:]}
    return sorted(names - steering)
