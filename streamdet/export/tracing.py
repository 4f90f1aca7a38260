"""Any of our networks as an ONNX graph."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from streamdet.errors import MissingExtra, ModelRefused

OPSET = 18  # the lowest that torch writes; the newest that TensorRT 10 reads is 22


def traced(
    network: nn.Module, example: Mapping[str, Tensor], outputs: Sequence[str], *, batch_largest: int, what: str
) -> Any:
    """An onnx.ModelProto whose inputs, named as the example's, take batches of any size.

    The network is in evaluation mode and takes the example's tensors in order, two pictures at least: a batch of one
    would be taken for a constant. ModelRefused, about `what`, where its shapes depend on data.
    """
    try:
        import onnxscript  # noqa: F401 - torch's exporter stands on it
    except ModuleNotFoundError as error:
        raise MissingExtra("onnxscript", "train", "exporting a model") from error
    batch = torch.export.Dim("batch", min=1, max=batch_largest)
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                tuple(example.values()),
                dynamo=True,
                dynamic_shapes={name: {0: batch} for name in example},
                input_names=list(example),
                output_names=list(outputs),
                opset_version=OPSET,
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise refusal(what, str(error).strip().splitlines()[0][:300]) from error
    assert program is not None  # it is only where a file was asked for
    return _without_traces(program.model_proto)


def _without_traces(model: Any) -> Any:
    """Each node tells which line of which file on this machine it came from: nobody else's business."""
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
    return model


def refusal(what: str, got: str) -> ModelRefused:
    """Of a network that no graph can be made of."""
    return ModelRefused(f"{what} cannot be exported", expected="a forward without data-dependent shapes", got=got)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells everybody that torchvision is missing, and warns of its own deprecations."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", (FutureWarning))
            warnings.simplefilter("ignore", (DeprecationWarning))
            warnings.simplefilter("ignore", (UserWarning))
            yield
    finally:
        log.setLevel(level)
