"""A torch detector as an ONNX network, its outputs named as the graft's generic family wants them."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from streamdet.errors import ConfigError
from streamdet.export.tracing import refusal, traced
from streamdet.graft.probe import spread
from streamdet.graft.raw import REGIONS, outputs_of
from streamdet.infer.tail import CUT_BOXES, CUT_EXTRAS, CUT_SCORES
from streamdet.models.contract import AnyDetector, Cut, Learnable, RegionModel

_INPUT = "pixels"
_LARGEST_BATCH = 64  # told to the exporter only: nothing of it is baked

Model = TypeVar("Model", bound=Learnable)


class _Inference(nn.Module):
    """The cut as a plain tuple, without what the model does not have."""

    def __init__(self, model: AnyDetector) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return _present(self.model(pixels))


class _RegionInference(_Inference):
    """The same of a model whose regions come from outside."""

    def forward(self, pixels: Tensor, regions: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        return _present(self.model(pixels, regions))


def _present(cut: Cut) -> tuple[Tensor, ...]:
    return tuple(tensor for tensor in cut if tensor is not None)


def onnx_of(model: AnyDetector, size: tuple[int, int]) -> Any:
    """The model's `forward` as an onnx.ModelProto for pictures of one size in batches of any; the model is not touched.

    float [B, 3, H, W] in 0..1 → sd_boxes, sd_scores, and sd_keypoints and sd_masks where the model has them. A model
    whose regions come from outside has an input for them, f32 [B, R, 4].
    """
    refuse_size(model, size)
    network = inference_copy(model)
    width, height = size
    # Two pictures: a batch of one would be taken for a constant.
    example = {_INPUT: torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))}
    if isinstance(network, RegionModel):
        example[REGIONS] = torch.from_numpy(spread(2, network.regions, size))
    with torch.no_grad():
        cut = network(*example.values())
    present = [CUT_BOXES, CUT_SCORES]
    present += [name for meaning, name in CUT_EXTRAS.items() if getattr(cut, meaning) is not None]
    what = type(model).__name__
    wrapped = (_RegionInference if isinstance(network, RegionModel) else _Inference)(network)
    made = traced(wrapped, example, present, batch_largest=_LARGEST_BATCH, what=what)
    for face in outputs_of(made):
        if None in face.shape[1:]:
            raise refusal(what, f"{face.name} {list(face.shape)}")
    return made


def inference_copy(model: Model) -> Model:
    """The same on the CPU, in float32 and evaluation mode, to be run without disturbing a training."""
    return copy.deepcopy(model).to(device="cpu", dtype=torch.float32).eval()


def refuse_size(model: AnyDetector, size: tuple[int, int]) -> None:
    """Raise where the network cannot see pictures of that size."""
    if any(side < model.stride or side % model.stride for side in size):
        raise ConfigError(
            "the network cannot take pictures of that size",
            expected=f"sides that are multiples of {model.stride}",
            got="{}x{}".format(*size),
        )
