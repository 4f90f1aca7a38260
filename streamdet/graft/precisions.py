"""An engine's graph in each precision, from its fp32 file."""

from __future__ import annotations

from typing import Any

from streamdet.errors import ConfigError
from streamdet.graft.casts import half
from streamdet.graft.pictures import Pixels
from streamdet.graft.quantise import symmetric
from streamdet.graft.quantise_cpu import unsigned
from streamdet.graft.raw import load_engine_graph
from streamdet.infer.shelf import Engine
from streamdet.manifest import Precision


def in_precision(engine: Engine, precision: Precision, pictures: Pixels | None = None) -> Any:
    """fp16 for GPUs, int8-sym for TensorRT, int8-u8 for CPUs.

    The int8 ones need pictures as the engine's input takes them: ranges are counted on them.
    """
    model = load_engine_graph(engine.model("fp32")[1])
    if precision == "fp16":
        return half(model)
    if precision == "fp32":
        return model
    if pictures is None or not len(pictures):
        raise ConfigError(f"{precision} needs pictures like those of the deployment: ranges are counted on them")
    quantise = symmetric if precision == "int8-sym" else unsigned
    return quantise(model, engine.manifest, pictures)
