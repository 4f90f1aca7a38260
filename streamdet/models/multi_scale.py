"""Testing at several scales: what is small in one picture is of the usual size in a larger one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from streamdet.models.box_head import joined
from streamdet.models.contract import Cut

Scales = Annotated[tuple[Annotated[float, Field(ge=0.25, le=4)], ...], Field(min_length=1)]


def at_scales(pixels: Tensor, scales: Scales, stride: int, look: Callable[[Tensor, float, float], Cut]) -> Cut:
    """The candidates of all scales together, in pixels of the picture as it came.

    `look` is given the picture at each size, the nearest multiples of `stride`, and how many times as wide and high it
    is. Suppression chooses among the scales.
    """
    height, width = pixels.shape[-2:]
    cuts = []
    for scale in scales:
        wide, high = (max(stride, round(side * scale / stride) * stride) for side in (width, height))
        if (wide, high) == (width, height):
            cuts.append(look(pixels, 1.0, 1.0))
            continue
        across, down = wide / width, high / height
        shown = functional.interpolate(pixels, size=(high, wide), mode="bilinear", align_corners=False)
        cut = look(shown, across, down)
        cuts.append(cut._replace(xyxy=cut.xyxy / cut.xyxy.new_tensor([across, down, across, down])))
    return joined(cuts)
